package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"triplicate/internal/backup"
)

// Survey walks a mounted snapshot and compares it with the last manifest; see
// activities.Vault. Repeated for the same snapshot and manifest, it answers from its
// notes: neither can change.
//
// Files that differ from their copy in time alone are read for their checksum.
func (v *Vault) Survey(ctx context.Context, job backup.OffsiteJob) (backup.Survey, error) {
	s, err := v.survey(ctx, job)
	if err != nil {
		return s, fmt.Errorf("survey %s: %w", job.Dataset.Name, err)
	}
	return s, nil
}

func (v *Vault) survey(ctx context.Context, job backup.OffsiteJob) (backup.Survey, error) {
	dir := v.cache(job.Dataset.GUID)
	leave, err := enter(dir)
	if err != nil {
		return backup.Survey{}, err
	}
	defer leave()
	last, lastKey, err := v.last(ctx, dir, job.Dataset.Name)
	if err != nil {
		return backup.Survey{}, err
	}
	n, err := readNote(dir)
	if err != nil {
		return backup.Survey{}, err
	}
	listed, err := exists(filepath.Join(dir, workFile))
	if err != nil {
		return backup.Survey{}, err
	}
	if listed && n.of(job, lastKey) {
		return n.Survey, nil
	}
	s, err := v.compare(ctx, dir, job, last, lastKey)
	if errors.Is(err, errCatalog) {
		// Read it anew from the bucket, and look again.
		if err := forget(dir, err); !errors.Is(err, errCatalog) {
			return s, err
		}
		if last, lastKey, err = v.last(ctx, dir, job.Dataset.Name); err != nil {
			return s, err
		}
		s, err = v.compare(ctx, dir, job, last, lastKey)
	}
	return s, err
}

// last brings the catalog up to the newest manifest.
func (v *Vault) last(ctx context.Context, dir, dataset string) (*backup.ManifestHeader, string, error) {
	points, err := v.chain(ctx, dataset)
	if err != nil {
		return nil, "", err
	}
	var newest backup.OffsitePoint
	if len(points) > 0 {
		newest = points[len(points)-1]
	}
	have, err := cached(dir)
	if err != nil {
		return nil, "", err
	}
	n, err := readNote(dir)
	if err != nil {
		return nil, "", err
	}
	committed := n != nil && v.keyOf(n) == newest.Key
	if !committed && (have == nil || have.Check(newest) != nil) {
		// The cache was lost, or is older than what was committed.
		if err := markDirty(dir); err != nil {
			return nil, "", err
		}
	}
	last, err := v.refresh(ctx, dir, points, have)
	if err != nil {
		return nil, "", err
	}
	if committed {
		err = tidy(dir)
	}
	return last, newest.Key, err
}

// markDirty remembers, until the next commit, that objects may exist that no
// manifest knows: an empty journal says so.
func markDirty(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return ioError(err)
	}
	f.Close()
	return syncDir(dir)
}

// tidy removes what a finished commit leaves: the journal first, for without the
// rest of it a journal would mean unknown objects.
func tidy(dir string) error {
	for _, name := range []string{journalFile, manifestFile, noteFile, workFile} {
		if err := remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	// What a crash left half written.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), part) {
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// errCatalog: the cached catalog is damaged.
var errCatalog = errors.New("cached catalog")

// forget removes a damaged catalog, which is only a cache: the next call reads it
// anew from the bucket.
func forget(dir string, err error) error {
	if !errors.Is(err, errCatalog) {
		return err
	}
	if rerr := remove(filepath.Join(dir, catalogFile)); rerr != nil {
		return rerr
	}
	return err
}

// compare walks the snapshot and writes the work list down.
func (v *Vault) compare(ctx context.Context, dir string, job backup.OffsiteJob, last *backup.ManifestHeader, lastKey string) (backup.Survey, error) {
	s := backup.Survey{Before: last}
	dirty, err := exists(filepath.Join(dir, journalFile))
	if err != nil {
		return s, err
	}
	// Without its note a list is nobody's; a manifest of an older list neither.
	if err := remove(filepath.Join(dir, noteFile), filepath.Join(dir, manifestFile)); err != nil {
		return s, err
	}
	var w *workWriter
	err = replace(filepath.Join(dir, workFile), func(f io.Writer) error {
		w = newWorkWriter(f)
		if err := v.merge(ctx, dir, job, dirty, &s, w.add); err != nil {
			return err
		}
		return w.w.Flush()
	})
	if err != nil {
		return s, err
	}
	n := &note{
		Dataset: job.Dataset.Name, GUID: job.Dataset.GUID, Snapshot: job.Snapshot.Name, Point: job.Snapshot.GUID,
		Stamp: job.Stamp, Before: lastKey, Created: v.Now().UTC(), Rows: w.rows, CRC64: sum64(w.sum),
	}
	s.Work = fmt.Sprintf("%s %s %d %s", n.Point, n.Stamp, n.Rows, n.CRC64)
	n.Survey = s
	return s, writeNote(dir, n)
}

func (v *Vault) merge(ctx context.Context, dir string, job backup.OffsiteJob, dirty bool, s *backup.Survey, emit func(task) error) error {
	walk, err := newWalker(ctx, job.Dir)
	if err != nil {
		return err
	}
	defer walk.close()
	t, err := openTree(job.Dir)
	if err != nil {
		return err
	}
	defer t.close()
	var state rows = nothing{}
	if s.Before != nil {
		f, err := os.Open(filepath.Join(dir, catalogFile))
		if err != nil {
			return err
		}
		defer f.Close()
		d, err := newDecoder(f, f.Name())
		if err != nil {
			return err
		}
		state = catalog{d}
	}
	c := &comparison{
		ctx: ctx, stamp: job.Stamp, tree: t, buf: make([]byte, 256<<10),
		large: v.multipartFrom, parts: v.partSize, survey: s, emit: emit,
	}
	if dirty {
		if c.objects, err = v.list(ctx, job.Dataset.Name); err != nil {
			return err
		}
		defer c.objects.close()
	}
	return c.run(walk, state)
}

// catalog tells damage of the cache from damage in the bucket.
type catalog struct{ rows }

func (c catalog) next() (row, error) {
	r, err := c.rows.next()
	if errors.Is(err, backup.ErrManifest) {
		return r, fmt.Errorf("%w: %w", errCatalog, err)
	}
	return r, err
}

// reason is what went wrong with a path that is named anyway.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
