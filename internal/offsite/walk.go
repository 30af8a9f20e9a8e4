package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"triplicate/internal/backup"
)

// found is a path as a walk saw it. With an error, the path or what is below it
// could not be read: what the manifest knows of it is to stay.
type found struct {
	backup.Entry
	order string
	err   error
}

// walker reads a mounted snapshot in backup.Order. It never follows a symlink and
// never leaves the filesystem that it began in: every name is opened relative to
// its directory, which is open.
type walker struct {
	ctx   context.Context
	dev   uint64
	stack []*level
	root  *found
}

// level is one directory on the way down.
type level struct {
	dir   *os.Root
	path  string // "" for the root
	order string // what the orders below it begin with
	names []name // sorted; the next one first
}

type name struct {
	name  string
	order string // within the directory
	mode  fs.FileMode
}

// errElsewhere: a directory belongs to another filesystem.
var errElsewhere = errors.New("another filesystem is mounted there")

// newWalker begins a walk. The caller closes it.
func newWalker(ctx context.Context, dir string) (*walker, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	w := &walker{ctx: ctx}
	info, err := root.Stat(".")
	if err == nil {
		w.dev = stat(info).Dev
		w.root = &found{Entry: entryOf(".", info)}
		var top *level
		if top, err = readLevel(root, "", ""); err == nil {
			w.stack = append(w.stack, top)
			return w, nil
		}
	}
	_ = root.Close()
	return nil, err
}

func (w *walker) close() {
	for _, l := range w.stack {
		_ = l.dir.Close()
	}
	w.stack = nil
}

// next is the next path, io.EOF after the last one.
func (w *walker) next() (found, error) {
	if err := w.ctx.Err(); err != nil {
		return found{}, err
	}
	if w.root != nil {
		f := *w.root
		w.root = nil
		return f, nil
	}
	for len(w.stack) > 0 {
		l := w.stack[len(w.stack)-1]
		if len(l.names) > 0 {
			n := l.names[0]
			l.names = l.names[1:]
			return w.visit(l, n)
		}
		_ = l.dir.Close()
		w.stack = w.stack[:len(w.stack)-1]
	}
	return found{}, io.EOF
}

func (w *walker) visit(l *level, n name) (found, error) {
	f := found{order: l.order + n.order}
	path := join(l.path, n.name)
	info, err := l.dir.Lstat(n.name)
	if err != nil {
		f.Entry = backup.Entry{Path: path, Type: typeOf(n.mode)}
		return f, w.failed(&f, err)
	}
	f.Entry = entryOf(path, info)
	if typeOf(n.mode) != f.Type {
		return f, fmt.Errorf("%q is a %q where its directory says %q: not a snapshot", path, f.Type, typeOf(n.mode))
	}
	switch f.Type {
	case backup.Symlink:
		if f.Target, err = l.dir.Readlink(n.name); err == nil {
			f.Size = int64(len(f.Target))
		}
	case backup.Dir:
		err = w.descend(l, n, &f, info)
	}
	if err != nil {
		return f, w.failed(&f, err)
	}
	return f, nil
}

// failed notes what could not be read; only what concerns this path alone lets the
// walk go on.
func (w *walker) failed(f *found, err error) error {
	if !unreadable(err) {
		return fmt.Errorf("read %q: %w", f.Path, err)
	}
	f.err = err
	return nil
}

// unreadable says whether an error is about one path, not about the process.
func unreadable(err error) bool {
	return !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ENOMEM) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func (w *walker) descend(l *level, n name, f *found, info fs.FileInfo) error {
	if stat(info).Dev != w.dev {
		return errElsewhere
	}
	dir, err := l.dir.OpenRoot(n.name)
	if err != nil {
		return err
	}
	sub, err := readLevel(dir, f.Path, f.order)
	if err == nil {
		var opened fs.FileInfo
		if opened, err = dir.Stat("."); err == nil && !os.SameFile(opened, info) {
			err = fmt.Errorf("%w: it changed while it was read", backup.ErrChanged)
		}
	}
	if err != nil {
		_ = dir.Close()
		return err
	}
	w.stack = append(w.stack, sub)
	return nil
}

func readLevel(dir *os.Root, path, order string) (*level, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	l := &level{dir: dir, path: path, order: order, names: make([]name, 0, len(entries))}
	for _, e := range entries {
		if path == "" && e.Name() == ".zfs" {
			continue // ZFS's own, where snapdir=visible
		}
		l.names = append(l.names, name{e.Name(), backup.Order(e.Name(), typeOf(e.Type())), e.Type()})
	}
	slices.SortFunc(l.names, func(a, b name) int { return strings.Compare(a.order, b.order) })
	return l, nil
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func typeOf(m fs.FileMode) backup.EntryType {
	switch m.Type() {
	case 0:
		return backup.File
	case fs.ModeSymlink:
		return backup.Symlink
	case fs.ModeDir:
		return backup.Dir
	}
	return backup.Special
}

func stat(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

func entryOf(path string, info fs.FileInfo) backup.Entry {
	s := stat(info)
	e := backup.Entry{
		Path: path, Type: typeOf(info.Mode()), Mtime: s.Mtim.Nano(),
		Mode: s.Mode & 0o7777, UID: s.Uid, GID: s.Gid,
	}
	if e.Type == backup.File {
		e.Size = s.Size
	}
	return e
}
