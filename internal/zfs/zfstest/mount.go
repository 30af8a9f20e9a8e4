package zfstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"triplicate/internal/backup"
)

// mounts are the ways in which a snapshot is mounted.
type mounts struct {
	users  int  // of MountSnapshot
	left   bool // by a killed daemon
	byHand int  // by an operator
}

func (m mounts) any() bool { return m.users > 0 || m.left || m.byHand > 0 }

// Mount mounts a snapshot by hand, until the returned function is called.
func (h *Host) Mount(snapshot string) (unmount func()) {
	add := func(n int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.snap(snapshot).byHand += n
	}
	add(1)
	return func() { add(-1) }
}

// Leave leaves a snapshot mounted, as a killed daemon does.
func (h *Host) Leave(s backup.Snapshot) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	have := h.snap(s.String())
	h.fatal(h.show(have))
	have.left = true
}

// MountSnapshot moves a snapshot's tree to a folder of its GUID, where it can be
// seen until it is unmounted.
func (h *Host) MountSnapshot(ctx context.Context, s backup.Snapshot) (dir string, unmount func() error, err error) {
	var have *snapshot
	err = h.change(ctx, "mount "+s.String(), func() error {
		have = h.snap(s.String())
		if err := h.mountable(s, have); err != nil {
			return fmt.Errorf("mount %s: %w", s, err)
		}
		if err := h.show(have); err != nil {
			return err
		}
		have.users++
		have.left = false // the last user unmounts
		dir = have.tree
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	return dir, sync.OnceValue(func() error {
		return h.change(context.Background(), "unmount "+s.String(), func() error {
			have.users--
			return h.hide(have)
		})
	}), nil
}

func (h *Host) mountable(s backup.Snapshot, have *snapshot) error {
	if err := h.readable(s.Dataset); err != nil {
		return err
	}
	d := h.datasets[s.Dataset]
	switch {
	case have == nil:
		return backup.ErrNotFound
	case have.GUID != s.GUID:
		return backup.ErrChanged
	case !d.KeyLoaded:
		return backup.ErrKeyUnavailable
	case d.Type == backup.Volume:
		return errors.New("a volume has no files to mount")
	}
	return nil
}

// show moves a tree to where a mount shows it.
func (h *Host) show(s *snapshot) error {
	if s.users > 0 || s.left {
		return nil
	}
	root := filepath.Join(h.dir, "mnt")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	dir := free(filepath.Join(root, s.GUID.String()))
	if err := os.Rename(s.tree, dir); err != nil {
		return err
	}
	h.moved(s, dir)
	return nil
}

// hide moves it back once nobody looks.
func (h *Host) hide(s *snapshot) error {
	if s.users > 0 || s.left {
		return nil
	}
	tree := free(filepath.Join(h.dir, s.GUID.String()))
	if err := os.Rename(s.tree, tree); err != nil {
		return err
	}
	h.moved(s, tree)
	return nil
}

// moved tells snapshot and bookmarks where the tree is now.
func (h *Host) moved(s *snapshot, tree string) {
	for i := range h.datasets[s.Dataset].marks {
		if m := &h.datasets[s.Dataset].marks[i]; m.tree == s.tree {
			m.tree = tree
		}
	}
	s.tree = tree
}

// ReapMounts unmounts what nobody looks at.
func (h *Host) ReapMounts(ctx context.Context) error {
	return h.change(ctx, "reap mounts", func() error {
		for _, d := range h.sorted(nil) {
			for _, s := range d.snaps {
				if !s.left {
					continue
				}
				s.left = false
				if err := h.hide(s); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
