package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"triplicate/internal/backup"
)

// upload is one call's work through a list.
type upload struct {
	*Vault
	job      backup.OffsiteJob
	dir      string
	note     *note
	journal  *journal
	tree     *tree
	memory   *memory
	strays   map[int]*backup.Object // by task: objects that an earlier call may have put
	progress func(bytes int64, objects int)

	mu      sync.Mutex
	bytes   int64 // of content, put by this call or before it
	objects int
	res     *backup.OffsiteResult
}

// run puts everything on the list that is not in the bucket yet.
func (u *upload) run(parent context.Context) error {
	if err := u.findStrays(parent); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	type numbered struct {
		n int
		task
	}
	tasks := make(chan numbered)
	var workers sync.WaitGroup
	for range u.Workers {
		workers.Go(func() {
			for t := range tasks {
				if err := u.one(ctx, t.n, t.task); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := eachTask(u.dir, u.note, func(n int, t task) error {
		if t.Do != put {
			return nil
		}
		if u.journal.isDone(n) {
			u.count(sizeOf(t.Entry), 1)
			return nil
		}
		select {
		case tasks <- numbered{n, t}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(tasks)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// findStrays lists, once and only after an interruption, what may have been put
// without being noted: objects that no manifest knows, of the right size.
func (u *upload) findStrays(ctx context.Context) error {
	if !u.journal.found {
		return nil
	}
	u.strays = map[int]*backup.Object{}
	objects, err := u.list(ctx, u.job.Dataset.Name)
	if err != nil {
		return err
	}
	defer objects.close()
	return eachTask(u.dir, u.note, func(n int, t task) error {
		if t.Do != put || u.journal.isDone(n) {
			return nil
		}
		o, err := objects.at(t.Entry)
		if err == nil && o != nil && !o.Marker && o.Size == t.Entry.Size && !sameVersion(o.VersionID, t.Was) {
			u.strays[n] = o
		}
		return err
	})
}

func (u *upload) count(bytes int64, objects int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes, u.objects = u.bytes+bytes, u.objects+objects
	if u.progress != nil {
		u.progress(u.bytes, u.objects)
	}
}

// unread wraps what concerns one file: it is reported, and the rest goes on.
type unread struct{ err error }

func (u unread) Error() string { return u.err.Error() }
func (u unread) Unwrap() error { return u.err }

// readError sorts an error of reading a file.
func readError(err error) error {
	if err == nil || errors.As(err, new(*changed)) || !unreadable(err) {
		return err
	}
	return unread{err}
}

// stored is where a task's content is now.
type stored struct {
	backup.Object
	crc     string
	adopted bool // put by an earlier call
}

// one does one task: adopts what is there or puts it.
func (u *upload) one(ctx context.Context, n int, t task) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	o, err := u.store(ctx, n, t)
	if errors.Is(err, backup.ErrDamaged) {
		o, err = u.store(ctx, n, t) // bytes that went bad on their way: read them again, once
	}
	if err == nil && o.CRC64 != "" && o.CRC64 != o.crc {
		err = fmt.Errorf("CRC %s, the bucket has %s: %w", o.crc, o.CRC64, backup.ErrDamaged)
	}
	var bad unread
	if errors.As(err, &bad) {
		u.fail(n, t, bad)
		return nil
	}
	if err != nil {
		return fmt.Errorf("upload %q: %w", t.Entry.Path, err)
	}
	if err := u.journal.add(record{N: n, Done: true, Version: o.VersionID, CRC64: o.crc}); err != nil {
		return err
	}
	u.mu.Lock()
	if o.adopted {
		u.res.Adopted++
	} else {
		u.res.Objects, u.res.Bytes = u.res.Objects+1, u.res.Bytes+sizeOf(t.Entry)
	}
	u.mu.Unlock()
	u.count(sizeOf(t.Entry), 1)
	return nil
}

func (u *upload) fail(n int, t task, err error) {
	u.journal.fail(n)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.res.FailedCount++; len(u.res.Failed) < backup.MaxNamed {
		u.res.Failed = append(u.res.Failed, t.Entry.Path+": "+reason(err))
	}
}

func (u *upload) store(ctx context.Context, n int, t task) (stored, error) {
	if t.Entry.Type == backup.File && t.Entry.Size >= u.multipartFrom {
		return u.large(ctx, n, t)
	}
	return u.small(ctx, n, t)
}

// spec says what a task's object is to be. Where nothing is known to be, the request
// says so: if its answer is lost, sending it again makes no second version.
func (u *upload) spec(t task, stray *backup.Object) backup.PutSpec {
	return backup.PutSpec{
		Key: u.key(u.job.Dataset.Name, t.Entry), Size: t.Entry.Size, Class: u.Class,
		Metadata: backup.Metadata(t.Entry), IfAbsent: t.Was == "" && stray == nil,
	}
}

// small puts a file or a symlink in one piece.
func (u *upload) small(ctx context.Context, n int, t task) (o stored, err error) {
	body := []byte(t.Entry.Target)
	if t.Entry.Type == backup.File {
		if body, err = u.memory.get(ctx, t.Entry.Size); err != nil {
			return o, err
		}
		defer u.memory.put(body)
		if err = u.read(t.Entry, body); err != nil {
			return o, readError(err)
		}
	}
	o.crc = crcOf(body)
	if stray := u.strays[n]; stray != nil && stray.ETag == md5Of(body) {
		o.Object, o.adopted = *stray, true
		return o, nil
	}
	o.Object, err = u.Bucket.Put(ctx, u.spec(t, u.strays[n]), body)
	if errors.Is(err, backup.ErrExists) {
		return u.settle(ctx, t, o.crc, body)
	}
	return o, err
}

// settle deals with an object where there should be none: ours, if it has the
// content; else it is hidden by a newer version.
func (u *upload) settle(ctx context.Context, t task, crc string, body []byte) (stored, error) {
	spec := u.spec(t, nil)
	var there *backup.Object
	err := u.Bucket.Versions(ctx, spec.Key, func(o backup.Object) error {
		if o.Key == spec.Key && o.Latest {
			there = &o
		}
		return nil
	})
	if err != nil {
		return stored{}, err
	}
	if there != nil && there.ETag == md5Of(body) {
		return stored{*there, crc, true}, nil
	}
	spec.IfAbsent = false
	o, err := u.Bucket.Put(ctx, spec, body)
	return stored{Object: o, crc: crc}, err
}

func (u *upload) read(e backup.Entry, body []byte) error {
	f, err := u.tree.open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.ReadFull(f, body); err != nil {
		return fmt.Errorf("read %q: %w", e.Path, err)
	}
	return nil
}

func (u *upload) path(name string) string { return filepath.Join(u.dir, name) }
