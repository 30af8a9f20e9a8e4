package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// Find looks a path up in the manifests; see activities.Vault. It reads them from
// the bucket, to the end, for only that proves that they are whole; the local cache
// may be gone with the machine.
func (v *Vault) Find(ctx context.Context, dataset, path string, at backup.Stamp) (backup.Entry, backup.ManifestHeader, error) {
	e, h, err := v.find(ctx, dataset, path, at)
	if err != nil {
		return e, h, fmt.Errorf("find %q in the copy of %s: %w", path, dataset, err)
	}
	return e, h, nil
}

func (v *Vault) find(ctx context.Context, dataset, path string, at backup.Stamp) (e backup.Entry, h backup.ManifestHeader, err error) {
	if err := backup.CheckPath(path); err != nil {
		return e, h, err
	}
	points, err := v.chain(ctx, dataset)
	if err != nil {
		return e, h, err
	}
	for len(points) > 0 && at != "" && points[len(points)-1].Stamp > at {
		points = points[:len(points)-1]
	}
	if len(points) == 0 {
		return e, h, fmt.Errorf("a point of %q or before: %w", at, backup.ErrNotFound)
	}
	// From the newest back to the whole one: of each kind that the path was, the
	// first row met is the state, and only one kind is there at a time.
	seen := map[backup.EntryType]bool{}
	for i := len(points) - 1; ; i-- {
		header, rows, err := v.lookUp(ctx, points[i], path)
		if err != nil {
			return e, h, err
		}
		if i == len(points)-1 {
			h = header
		}
		if err := links(points[:i+1], header); err != nil {
			return e, h, err
		}
		for _, r := range rows {
			if r.Gone == "" && !seen[r.Type] {
				return r, h, nil
			}
			seen[r.Type] = true
		}
		if header.Base == "" {
			return e, h, backup.ErrNotFound
		}
	}
}

// lookUp reads one manifest for the rows of a path.
func (v *Vault) lookUp(ctx context.Context, p backup.OffsitePoint, path string) (backup.ManifestHeader, []backup.Entry, error) {
	d, body, err := v.open(ctx, p)
	if err != nil {
		return backup.ManifestHeader{}, nil, err
	}
	defer func() { _ = body.Close() }()
	var found []backup.Entry
	for {
		r, err := d.next()
		if errors.Is(err, io.EOF) {
			return d.header, found, nil
		}
		if err != nil {
			return d.header, nil, err
		}
		if r.Path == path {
			found = append(found, r.Entry)
		}
	}
}

// object is the key of an entry's content. A manifest may name one, but only below
// the dataset's own.
func (v *Vault) object(dataset string, e backup.Entry) (string, error) {
	if !e.Type.HasObject() {
		return "", fmt.Errorf("%q has no content: %w", e.Path, backup.ErrNotFound)
	}
	if e.Key != "" && !strings.HasPrefix(e.Key, backup.DataPrefix(v.Prefix, dataset)) &&
		!strings.HasPrefix(e.Key, backup.OtherPrefix(v.Prefix, dataset)) {
		return "", fmt.Errorf("%q: key %q is not of this dataset: %w", e.Path, e.Key, backup.ErrManifest)
	}
	return v.key(dataset, e), nil
}

// Fetch writes a file's content; see activities.Vault.
func (v *Vault) Fetch(ctx context.Context, dataset string, e backup.Entry, to io.Writer) error {
	if err := v.fetch(ctx, dataset, e, to); err != nil {
		return fmt.Errorf("fetch %q from the copy of %s: %w", e.Path, dataset, err)
	}
	return nil
}

func (v *Vault) fetch(ctx context.Context, dataset string, e backup.Entry, to io.Writer) error {
	key, err := v.object(dataset, e)
	if err != nil {
		return err
	}
	body, _, err := v.Bucket.Get(ctx, key, e.Version)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	crc := crc64nvme.New()
	// One byte more than there should be, and not a bucket full.
	n, err := io.Copy(io.MultiWriter(to, crc), io.LimitReader(body, e.Size+1))
	if err != nil {
		return err
	}
	if n != e.Size || sum64(crc) != e.CRC64 {
		return fmt.Errorf("%d bytes with CRC %s instead of %d with %s: %w", n, sum64(crc), e.Size, e.CRC64, backup.ErrDamaged)
	}
	return nil
}

// Thaw asks for a restored copy; see activities.Vault.
func (v *Vault) Thaw(ctx context.Context, dataset string, e backup.Entry, tier backup.Tier, days int) (backup.Restore, error) {
	key, err := v.object(dataset, e)
	if err == nil {
		err = v.Bucket.Thaw(ctx, key, e.Version, tier, days)
	}
	if err != nil {
		return backup.Restore{}, fmt.Errorf("thaw %q: %w", e.Path, err)
	}
	o, err := v.Bucket.Head(ctx, key, e.Version)
	if err != nil {
		return backup.Restore{}, fmt.Errorf("thaw %q: %w", e.Path, err)
	}
	return o.Restore, nil
}
