package offsite

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// tree opens files of a mounted snapshot by their path.
type tree struct {
	root *os.Root
	dev  uint64
}

func openTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &tree{root, stat(info).Dev}, nil
}

func (t *tree) close() { _ = t.root.Close() }

// open opens a file, which must still be what the walk saw: in a snapshot nothing
// can change, so that anything else means that this is not the snapshot.
func (t *tree) open(e backup.Entry) (*os.File, error) {
	// O_NONBLOCK: should a pipe be in its place, opening it must not hang.
	f, err := t.root.OpenFile(e.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	now := entryOf(e.Path, info)
	if stat(info).Dev != t.dev || !backup.SameContent(e, now) {
		_ = f.Close()
		return nil, &changed{e, now}
	}
	return f, nil
}

// changed is no failure of one file: a step that meets it stops.
type changed struct{ walked, now backup.Entry }

func (c *changed) Error() string {
	return fmt.Sprintf("%q changed in a snapshot: %d bytes of %d, now %d of %d",
		c.walked.Path, c.walked.Size, c.walked.Mtime, c.now.Size, c.now.Mtime)
}

func (c *changed) Unwrap() error { return backup.ErrChanged }

// checksum reads a file for its CRC.
func (t *tree) checksum(ctx context.Context, e backup.Entry, buf []byte) (string, error) {
	f, err := t.open(e)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := crc64nvme.New()
	for n := int64(0); n < e.Size; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		k, err := io.ReadFull(f, buf[:min(int64(len(buf)), e.Size-n)])
		if err != nil {
			return "", fmt.Errorf("read %q: %w", e.Path, err)
		}
		_, _ = h.Write(buf[:k])
		n += int64(k)
	}
	return sum64(h), nil
}
