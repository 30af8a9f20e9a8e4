package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"triplicate/internal/backup"
)

// Commit uploads what a survey found and then writes the manifest; see
// activities.Vault. backup.ErrStale asks for another survey.
func (v *Vault) Commit(ctx context.Context, job backup.OffsiteJob, s backup.Survey, progress func(bytes int64, objects int)) (backup.OffsiteResult, error) {
	before := v.Bucket.Requests()
	res, err := v.commit(ctx, job, s, progress)
	res.Requests = int(v.Bucket.Requests() - before)
	if err != nil {
		return res, fmt.Errorf("commit %s: %w", job.Dataset.Name, err)
	}
	return res, nil
}

func (v *Vault) commit(ctx context.Context, job backup.OffsiteJob, s backup.Survey, progress func(int64, int)) (backup.OffsiteResult, error) {
	res := backup.OffsiteResult{Failed: slices.Clone(s.Failed), FailedCount: s.FailedCount}
	dir := v.cache(job.Dataset.GUID)
	leave, err := enter(dir)
	if err != nil {
		return res, err
	}
	defer leave()
	last, lastKey, err := v.last(ctx, dir, job.Dataset.Name)
	if err != nil {
		return res, err
	}
	n, err := readNote(dir)
	if err != nil {
		return res, err
	}
	current := n.of(job, lastKey) && n.Survey.Work == s.Work
	if isPoint(last, job) && (follows(s, last) || s.Change.Empty() && s.FailedCount == last.Failed) {
		// Done already: the answer was lost, or the snapshot is still the newest.
		res.Manifest, res.Header = lastKey, *last
		if current {
			err = tidy(dir)
		}
		return res, err
	}
	if !current {
		return res, backup.ErrStale
	}
	err = v.upload(ctx, dir, job, n, last, lastKey, &res, progress)
	if err == nil {
		err = v.finish(ctx, dir, n, lastKey, &res)
	}
	return res, forget(dir, err)
}

// isPoint says whether the last manifest is of the job's snapshot.
func isPoint(last *backup.ManifestHeader, job backup.OffsiteJob) bool {
	return last != nil && last.GUID == job.Dataset.GUID && last.Point == job.Snapshot.GUID && last.Stamp == job.Stamp
}

// follows says whether last is the manifest that comes after what s was compared with.
func follows(s backup.Survey, last *backup.ManifestHeader) bool {
	if s.Before == nil {
		return last.Seq == 1
	}
	return last.Seq == s.Before.Seq+1
}

// upload puts the objects and leaves the next manifest, complete, in the folder. One
// that is there already was left by an earlier call.
func (v *Vault) upload(ctx context.Context, dir string, job backup.OffsiteJob, n *note, last *backup.ManifestHeader, lastKey string, res *backup.OffsiteResult, progress func(int64, int)) (err error) {
	there, err := exists(filepath.Join(dir, manifestFile))
	if err != nil || there {
		return err
	}
	j, stale, err := openJournal(dir, n, v.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	for _, r := range stale {
		if err := v.Bucket.AbortUpload(ctx, r.Key, r.Upload); err != nil {
			return err
		}
	}
	t, err := openTree(job.Dir)
	if err != nil {
		return err
	}
	defer t.close()
	u := &upload{
		Vault: v, job: job, dir: dir, note: n, journal: j, tree: t,
		memory: newMemory(v.memory), progress: progress, res: res,
	}
	if err := u.run(ctx); err != nil {
		return err
	}
	return u.writeManifest(last, lastKey)
}

// writeManifest composes the next manifest from the list and the journal.
func (u *upload) writeManifest(last *backup.ManifestHeader, lastKey string) error {
	h := backup.ManifestHeader{
		Host: u.Host, Dataset: u.note.Dataset, GUID: u.note.GUID, Snapshot: u.note.Snapshot, Point: u.note.Point,
		Stamp: u.note.Stamp, Created: u.Now().UTC(), Counts: u.note.Survey.Counts, Failed: u.res.FailedCount,
	}
	n := u.note.Rows - u.journal.failed
	whole := backup.WholeNext(last, n)
	if whole && last != nil {
		// The header comes first and says how many rows follow: count them.
		n = 0
		if err := u.eachRow(true, func(row) error { n++; return nil }); err != nil {
			return err
		}
	}
	h = h.Follow(last, lastKey, n, whole)
	return zipped(u.path(manifestFile), func(w io.Writer) error {
		e, err := newEncoder(w, h)
		if err != nil {
			return err
		}
		if err := u.eachRow(whole && last != nil, e.add); err != nil {
			return err
		}
		return e.close()
	})
}

// eachRow reads the rows of the next manifest: the list's own, laid over the last
// state if it is to be a whole one.
func (u *upload) eachRow(whole bool, do func(row) error) error {
	work, err := openWork(u.dir, u.note)
	if err != nil {
		return err
	}
	defer work.close()
	var from rows = &results{work: work, journal: u.journal}
	if whole {
		f, err := os.Open(u.path(catalogFile))
		if err != nil {
			return err
		}
		defer f.Close()
		d, err := newDecoder(f, f.Name())
		if err != nil {
			return err
		}
		from = lay(catalog{d}, from)
	}
	for {
		r, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(r)
		}
		if err != nil {
			return err
		}
	}
}

// results are the rows of a list whose work is done.
type results struct {
	work    *workReader
	journal *journal
}

func (r *results) next() (row, error) {
	for {
		n, t, err := r.work.next()
		if err != nil {
			return row{}, err
		}
		e := t.Entry
		if t.Do == put {
			done, ok, err := r.journal.result(n)
			if err != nil {
				return row{}, err
			}
			if !ok {
				continue // it could not be read: the manifest keeps what it knew
			}
			e.Version, e.CRC64 = done.Version, done.CRC64
		}
		return row{Entry: e, order: backup.Order(e.Path, e.Type)}, nil
	}
}
