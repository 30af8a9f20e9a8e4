package zfstest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A filesystem is a folder, and a snapshot a copy of it whose files are hard
// links: cheap, and right as long as nobody writes into a file that is linked.
// WriteFile replaces files, and Edit unlinks them from the snapshots first.

// copyTree makes the folder to a copy of from, with its modes, owners and times.
func copyTree(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		a, b := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			err = copyTree(a, b)
		} else {
			err = os.Link(a, b)
		}
		if err != nil {
			return err
		}
	}
	return dress(to, info)
}

// dress gives a file or folder the mode, owner and time of another.
func dress(name string, like fs.FileInfo) error {
	if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Lchown(name, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := os.Chmod(name, like.Mode()); err != nil {
		return err
	}
	return os.Chtimes(name, time.Time{}, like.ModTime())
}

// unlink makes the files of a tree its own, so that they may be written into.
func unlink(tree string) error {
	return filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink == 1 {
			return nil
		}
		dir, err := os.Lstat(filepath.Dir(path))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := replace(path, data, info); err != nil {
			return err
		}
		return dress(filepath.Dir(path), dir)
	})
}

// replace puts a new file in the place of one, as it was but for its content.
func replace(path string, data []byte, like fs.FileInfo) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return err
	}
	if err := dress(next, like); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// entries are the paths of a tree, its root as "."; an empty name has none.
func entries(tree string) (map[string]fs.FileInfo, error) {
	found := map[string]fs.FileInfo{}
	if tree == "" {
		return found, nil
	}
	err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		found[rel], err = e.Info()
		return err
	})
	return found, err
}

// record is what ZFS writes for an entry beside its content, roughly.
const record = 512

// newer is how many bytes a tree has that an older one has not: what files hold
// that are new or differ, and a record for each entry that came, went or changed.
// An empty older tree has nothing.
func newer(older, tree string) (int64, error) {
	before, err := entries(older)
	if err != nil {
		return 0, err
	}
	now, err := entries(tree)
	if err != nil {
		return 0, err
	}
	var n int64
	for path, b := range now {
		a, had := before[path]
		delete(before, path)
		same := false
		if had {
			if same, err = alike(filepath.Join(older, path), filepath.Join(tree, path), a, b); err != nil {
				return 0, err
			}
		}
		if same {
			continue
		}
		n += record
		if b.Mode().IsRegular() {
			n += b.Size()
		}
	}
	return n + record*int64(len(before)), nil
}

func alike(older, path string, a, b fs.FileInfo) (bool, error) {
	switch {
	case !b.IsDir() && os.SameFile(a, b):
		return true, nil
	case a.Mode() != b.Mode() || !a.ModTime().Equal(b.ModTime()) || !b.IsDir() && a.Size() != b.Size():
		return false, nil
	case b.Mode().IsRegular():
		x, err := os.ReadFile(older)
		if err != nil {
			return false, err
		}
		y, err := os.ReadFile(path)
		return bytes.Equal(x, y), err
	case b.Mode()&fs.ModeSymlink != 0:
		x, err := os.Readlink(older)
		if err != nil {
			return false, err
		}
		y, err := os.Readlink(path)
		return x == y, err
	}
	return true, nil
}
