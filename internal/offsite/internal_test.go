package offsite

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

// steps is a walk or a state from a list.
type steps[T any] struct{ all []T }

func (s *steps[T]) next() (T, error) {
	var none T
	if len(s.all) == 0 {
		return none, io.EOF
	}
	one := s.all[0]
	s.all = s.all[1:]
	return one, nil
}

func entry(path string, t backup.EntryType) backup.Entry {
	return backup.Entry{Path: path, Type: t, Size: 1, Version: "v", CRC64: "crc"}
}

func rowOf(e backup.Entry) row { return row{Entry: e, order: backup.Order(e.Path, e.Type)} }

// What cannot be read, and all below it, keeps its rows: nothing becomes a tombstone.
func TestUnreadableIsNotGone(t *testing.T) {
	catalog := []row{
		rowOf(entry(".", backup.Dir)), rowOf(entry("a", backup.File)), rowOf(entry("d", backup.Dir)),
		rowOf(entry("d/1", backup.File)), rowOf(entry("d/e", backup.Dir)), rowOf(entry("d/e/2", backup.File)),
		rowOf(entry("d2", backup.File)), rowOf(entry("gone", backup.File)),
	}
	see := func(path string, k backup.EntryType, err error) found {
		e := entry(path, k)
		e.Version, e.CRC64 = "", ""
		return found{Entry: e, order: backup.Order(path, k), err: err}
	}
	walk := []found{
		see(".", backup.Dir, nil), see("a", backup.File, syscall.EIO),
		see("d", backup.Dir, syscall.EIO), see("new", backup.File, syscall.EIO),
	}
	var s backup.Survey
	var got []string
	c := &comparison{ctx: t.Context(), stamp: "20261122T030000Z", survey: &s, emit: func(t task) error {
		got = append(got, t.Do+" "+t.Entry.Path)
		return nil
	}}
	// d2 sorts before d/: rows of one path's prefix are not mistaken for its inside.
	slicesSort(catalog)
	if err := c.run(&steps[found]{walk}, &steps[row]{catalog}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gone d2", "gone gone"}, got); diff != "" {
		t.Error(diff)
	}
	want := backup.Counts{Files: 3, Bytes: 3, Dirs: 3}
	if s.Counts != want || s.FailedCount != 3 || len(s.Failed) != 3 {
		t.Errorf("%+v", s)
	}
}

func slicesSort(rows []row) {
	for i := range rows {
		for j := i; j > 0 && rows[j].order < rows[j-1].order; j-- {
			rows[j], rows[j-1] = rows[j-1], rows[j]
		}
	}
}

// refuser counts what is put.
type refuser struct {
	Bucket
	puts int
}

func (r *refuser) Put(context.Context, backup.PutSpec, []byte) (backup.Object, error) {
	r.puts++
	return backup.Object{VersionID: "v"}, nil
}

// An object that cannot be noted would be paid for twice.
func TestAFullDiskStopsTheUpload(t *testing.T) {
	src, dir := t.TempDir(), t.TempDir()
	n := &note{}
	w := newWorkWriter(io.Discard)
	if err := replace(filepath.Join(dir, workFile), func(f io.Writer) error {
		w = newWorkWriter(f)
		for i := range 100 {
			name := string(rune('a'+i/26)) + string(rune('a'+i%26))
			if err := os.WriteFile(filepath.Join(src, name), nil, 0o600); err != nil {
				return err
			}
			info, err := os.Lstat(filepath.Join(src, name))
			if err != nil {
				return err
			}
			if err := w.add(task{Do: put, Entry: entryOf(name, info)}); err != nil {
				return err
			}
		}
		return w.w.Flush()
	}); err != nil {
		t.Fatal(err)
	}
	n.Rows, n.CRC64 = w.rows, sum64(w.sum)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	tree, err := openTree(src)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	b := &refuser{}
	u := &upload{
		Vault: New(Config{Bucket: b, Workers: 1}), dir: dir, note: n, tree: tree, memory: newMemory(1 << 20),
		journal: &journal{f: full, at: make([]int64, n.Rows), uploads: map[int]record{}, now: time.Now}, res: new(backup.OffsiteResult),
	}
	if err := u.run(t.Context()); !errors.Is(err, backup.ErrNoSpace) {
		t.Errorf("run: %v", err)
	}
	if b.puts != 1 {
		t.Errorf("%d objects put after the disk was full", b.puts-1)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(1 << 20)
	first, err := m.get(t.Context(), 600<<10) // takes 1 MiB
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan []byte)
	go func() {
		b, _ := m.get(t.Context(), 5<<20) // more than there is: waits for all of it
		second <- b
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.get(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("overtook: %v", err)
	}
	m.put(first)
	b := <-second
	if len(b) != 5<<20 || m.out != 8<<20 {
		t.Errorf("%d bytes, %d out", len(b), m.out)
	}
	m.put(b)
	if m.out != 0 || m.kept > m.max {
		t.Errorf("%d out, %d kept", m.out, m.kept)
	}
}
