package activities

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"triplicate/internal/backup"
)

// target is where a restored file goes. All happens inside one folder that is
// held open, so that nothing in it, a symlink say, leads a file elsewhere.
type target struct {
	dir  *os.Root
	path string // of the folder
	name string // of the file, if the operator gave one
}

// openTarget finds out what To means: a folder that exists, or a new name in one.
func openTarget(p RestoreParams) (*target, error) {
	to, err := filepath.Abs(p.To)
	if err != nil || p.To == "" {
		return nil, fmt.Errorf("restore to %q: name a folder, or a file that does not exist", p.To)
	}
	t := &target{path: to}
	info, err := os.Stat(to)
	switch {
	case err == nil && !info.IsDir():
		return nil, exists(to)
	case errors.Is(err, fs.ErrNotExist):
		t.path, t.name = filepath.Dir(to), filepath.Base(to)
	case err != nil:
		return nil, err
	}
	if t.dir, err = os.OpenRoot(t.path); err != nil {
		return nil, fmt.Errorf("restore to %s: %w", p.To, err)
	}
	return t, nil
}

// exists is what a restore onto something that exists meets.
func exists(path string) error {
	return fmt.Errorf("%s %w, and nothing is overwritten", path, backup.ErrExists)
}

func (t *target) close() { _ = t.dir.Close() }

// final is the name that the file gets. It must not be there.
func (t *target) final(base string) (string, error) {
	name := base
	if t.name != "" {
		name = t.name
	}
	if _, err := t.dir.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, exists(filepath.Join(t.path, name))
	}
	return name, nil
}

// write makes the file under another name, and gives it its own when it is whole
// and on disk. A half-written one does not stay.
func (t *target) write(e backup.Entry, base string, fill func(io.Writer) error) (file string, err error) {
	name, err := t.final(base)
	if err != nil {
		return "", err
	}
	partial := fmt.Sprintf(".triplicate-restore-%d-%d", os.Getpid(), time.Now().UnixNano())
	f, err := t.dir.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = t.dir.Remove(partial) }()
	defer f.Close()
	if err := fill(f); err != nil {
		return "", err
	}
	if info, err := f.Stat(); err != nil || info.Size() != e.Size {
		return "", fmt.Errorf("%s came back with another size than %d bytes: %w", base, e.Size, backup.ErrDamaged)
	}
	if os.Geteuid() == 0 {
		if err := f.Chown(int(e.UID), int(e.GID)); err != nil {
			return "", err
		}
	}
	// Permission bits only: setuid does not come back by itself.
	if err := f.Chmod(fs.FileMode(e.Mode) & fs.ModePerm); err != nil {
		return "", err
	}
	at := time.Unix(0, e.Mtime)
	if err := t.dir.Chtimes(partial, at, at); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	// A link fails where a rename would overwrite.
	if err := t.dir.Link(partial, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return "", exists(filepath.Join(t.path, name))
		}
		return "", err
	}
	return filepath.Join(t.path, name), nil
}

// symlink makes the link as it was; where it leads is not followed.
func (t *target) symlink(e backup.Entry, base string) (string, error) {
	name, err := t.final(base)
	if err != nil {
		return "", err
	}
	return filepath.Join(t.path, name), t.dir.Symlink(e.Target, name)
}

// entryOf is a file of a mounted snapshot in the words of a manifest.
func entryOf(info fs.FileInfo) backup.Entry {
	e := backup.Entry{Type: backup.Special, Size: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: uint32(info.Mode().Perm())}
	switch {
	case info.Mode().IsRegular():
		e.Type = backup.File
	case info.IsDir():
		e.Type = backup.Dir
	case info.Mode()&fs.ModeSymlink != 0:
		e.Type = backup.Symlink
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = s.Uid, s.Gid
	}
	return e
}
