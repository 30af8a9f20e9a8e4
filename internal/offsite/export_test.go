package offsite

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"triplicate/internal/backup"
)

// Small makes files of so many bytes large ones, uploaded in parts of a size, so
// that tests need no gigabytes.
func (v *Vault) Small(multipartFrom, part int64) *Vault {
	v.multipartFrom, v.partSize = multipartFrom, func(int64) int64 { return part }
	return v
}

// State rebuilds in dir what the manifests say at a stamp, and returns the live rows.
func (v *Vault) State(ctx context.Context, dir, dataset string, at backup.Stamp) (map[string]backup.Entry, error) {
	points, err := v.chain(ctx, dataset)
	if err != nil {
		return nil, err
	}
	for len(points) > 0 && at != "" && points[len(points)-1].Stamp > at {
		points = points[:len(points)-1]
	}
	if _, err := v.refresh(ctx, dir, points, nil); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, catalogFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := newDecoder(f, f.Name())
	if err != nil {
		return nil, err
	}
	rows := map[string]backup.Entry{}
	for {
		r, err := d.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		if r.Gone == "" {
			rows[r.Path] = r.Entry
		}
	}
}

// Trailer is the right end of a manifest with so many rows.
func Trailer(rows int, before []byte) string {
	line, err := json.Marshal(trailer{End: true, Rows: rows, CRC64: crcOf(before)})
	if err != nil {
		panic(err)
	}
	return string(line) + "\n"
}
