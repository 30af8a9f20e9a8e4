package offsite

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"triplicate/internal/backup"
)

// Files in the folder of a dataset's cache.
const (
	catalogFile  = "catalog"           // the state as of the last manifest, in the form of a whole one
	noteFile     = "survey"            // what the last survey found; written after the list
	workFile     = "work"              // the list: what to upload and which rows change
	journalFile  = "journal"           // what was uploaded; while it is there, objects may exist that no manifest knows
	manifestFile = "manifest.gz"       // the next manifest, complete, about to be put
	lockFile     = "lock"              // held (flock) while somebody surveys or commits
	part         = ".part"             // ends the name of a file that is being written
	chainFile    = "chain-%08d" + part // a manifest on its way from the bucket into the catalog
)

// ioError gives the errors of a full disk a name.
func ioError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", backup.ErrNoSpace, err)
	}
	return err
}

// replace writes a file whole or not at all: after a crash there is the old one or
// the new one.
func replace(name string, write func(io.Writer) error) error {
	tmp := name + part
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return ioError(err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return ioError(err)
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes names durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return ioError(d.Sync())
}

// zipped is replace for a file in gzip.
func zipped(name string, write func(io.Writer) error) error {
	return replace(name, func(w io.Writer) error {
		z := gzip.NewWriter(w)
		if err := write(z); err != nil {
			return err
		}
		return z.Close()
	})
}

func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func remove(names ...string) error {
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// enter makes the cache's folder and locks it: the daemon and the operator's command
// must not work on one copy at the same time. A killed process loses its lock.
func enter(dir string) (leave func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, ioError(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ioError(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = backup.ErrBusy
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}
