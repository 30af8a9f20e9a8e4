package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// finish puts the manifest, which makes the point exist, and brings the cache up to it.
func (v *Vault) finish(ctx context.Context, dir string, n *note, lastKey string, res *backup.OffsiteResult) error {
	name := filepath.Join(dir, manifestFile)
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	header, err := verify(f)
	if err != nil {
		// The list and the journal are still there to make it again.
		return errors.Join(err, remove(name))
	}
	// An upload may have taken days: look again that nobody else committed.
	points, err := v.chain(ctx, n.Dataset)
	if err != nil {
		return err
	}
	newest := ""
	if len(points) > 0 {
		newest = points[len(points)-1].Key
	}
	if newest != lastKey {
		return fmt.Errorf("the newest manifest is %q, it was %q: %w", newest, lastKey, backup.ErrTwoWriters)
	}
	key := v.keyOf(n)
	if err := v.putManifest(ctx, key, f); err != nil {
		return err
	}
	res.Manifest, res.Header, res.FailedCount = key, header, header.Failed
	if header.Base == "" {
		if err := remove(filepath.Join(dir, catalogFile)); err != nil {
			return err
		}
	}
	if err := v.install(dir, []string{name}); err != nil {
		return err
	}
	return tidy(dir)
}

// verify reads a manifest on disk to its end: what is put is never replaced, and must
// not have gone bad since it was written.
func verify(f *os.File) (backup.ManifestHeader, error) {
	d, err := unzip(f, f.Name())
	if err != nil {
		return backup.ManifestHeader{}, err
	}
	for {
		if _, err := d.next(); errors.Is(err, io.EOF) {
			return d.header, nil
		} else if err != nil {
			return d.header, err
		}
	}
}

// putManifest puts it, once and for all: a manifest is never replaced. One of that
// key and content is our own, of a try whose answer was lost.
func (v *Vault) putManifest(ctx context.Context, key string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	spec := backup.PutSpec{Key: key, Size: info.Size(), Class: "STANDARD", Type: "application/gzip", IfAbsent: true}
	if spec.Size >= v.multipartFrom {
		err = v.putManifestParts(ctx, spec, f)
	} else {
		var body []byte
		if body, err = io.ReadAll(f); err == nil {
			_, err = v.Bucket.Put(ctx, spec, body)
		}
	}
	if errors.Is(err, backup.ErrExists) {
		return v.sameManifest(ctx, key, f)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (v *Vault) putManifestParts(ctx context.Context, spec backup.PutSpec, f *os.File) error {
	id, err := v.Bucket.StartUpload(ctx, spec)
	if err != nil {
		return err
	}
	p := &parted{
		bucket: v.Bucket, memory: newMemory(v.memory), spec: spec,
		upload: record{Upload: id, Part: v.partSize(spec.Size)}, once: true,
	}
	if _, _, err = p.put(ctx, f); err != nil {
		return errors.Join(err, v.Bucket.AbortUpload(ctx, spec.Key, id))
	}
	return nil
}

func (v *Vault) sameManifest(ctx context.Context, key string, f *os.File) error {
	body, _, err := v.Bucket.Get(ctx, key, "")
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	defer func() { _ = body.Close() }()
	theirs, ours := crc64nvme.New(), crc64nvme.New()
	if _, err := io.Copy(theirs, body); err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(ours, f); err != nil {
		return err
	}
	if theirs.Sum64() != ours.Sum64() {
		return fmt.Errorf("%s: %w", key, backup.ErrTwoWriters)
	}
	return nil
}
