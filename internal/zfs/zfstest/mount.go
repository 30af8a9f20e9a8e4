package zfstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"triplicate/internal/backup"
)

// MountSnapshot gives a snapshot's folder.
func (h *Host) MountSnapshot(ctx context.Context, s backup.Snapshot) (dir string, unmount func() error, err error) {
	dir = filepath.Join(h.dir, s.GUID.String())
	err = h.change(ctx, "mount "+s.String(), func() error {
		have := h.snap(s.String())
		switch {
		case have == nil:
			return missing(s.String())
		case have.GUID != s.GUID:
			return fmt.Errorf("mount %s: %w", s, backup.ErrChanged)
		case !h.datasets[s.Dataset].KeyLoaded:
			return fmt.Errorf("mount %s: %w", s, backup.ErrKeyUnavailable)
		case h.datasets[s.Dataset].Type == backup.Volume:
			return errors.New("a volume has no files to mount")
		}
		have.users++
		have.Mounted = true
		for _, name := range slices.Sorted(maps.Keys(have.files)) {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(have.files[name]), 0o644); err != nil {
				return err
			}
		}
		return os.MkdirAll(dir, 0o755)
	})
	if err != nil {
		return "", nil, err
	}
	return dir, sync.OnceValue(func() error {
		return h.change(context.Background(), "unmount "+s.String(), func() error {
			if have := h.snap(s.String()); have != nil {
				have.users--
				have.Mounted = have.users > 0
			}
			return nil
		})
	}), nil
}

// ReapMounts unmounts what nobody looks at.
func (h *Host) ReapMounts(ctx context.Context) error {
	return h.change(ctx, "reap mounts", func() error {
		for _, d := range h.datasets {
			for _, s := range d.snaps {
				s.Mounted = s.users > 0
			}
		}
		return nil
	})
}

// Written is how much of a snapshot is newer than another.
func (h *Host) Written(_ context.Context, to backup.Snapshot, since string) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	have, base := h.snap(to.String()), h.snap(to.Dataset+since)
	if have == nil || base == nil {
		return 0, missing(to.Dataset + since)
	}
	return h.size(backup.Transfer{To: to, From: &base.Snapshot}), nil
}
