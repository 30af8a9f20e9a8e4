package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"triplicate/internal/backup"
)

// DefaultMountRoot is where snapshots are mounted: gone after a reboot, as the
// mounts are.
const DefaultMountRoot = "/run/triplicate/mnt"

// Who looks at a mount is counted by locks of the kernel (flock(2)), not in
// memory: they also count the operator's command beside the daemon, and a killed
// process loses them. Below the root are
//
//	lock         held while something is mounted or unmounted, by one at a time
//	GUID         the folder that the snapshot is mounted on
//	GUID.lock    held, shared, by everybody who looks at it
const gate = "lock"

// MountSnapshot mounts s; see activities.Mounter.
func (h *Host) MountSnapshot(ctx context.Context, s backup.Snapshot) (string, func() error, error) {
	fail := func(err error) (string, func() error, error) {
		return "", nil, fmt.Errorf("mount %s: %w", s, err)
	}
	if err := checkName(s.String()); err != nil {
		return fail(err)
	}
	// Before the lock: a pool that hangs must not keep the others waiting.
	if err := h.mountable(ctx, s); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(h.mountRoot(), 0o700); err != nil {
		return fail(err)
	}
	root, unlock, err := h.lockRoot(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	dir, err := place(root, s)
	if err != nil {
		return fail(err)
	}
	use, err := h.open(ctx, s, dir)
	if err != nil {
		return fail(err)
	}
	return dir, sync.OnceValue(func() error { return h.leave(dir, use) }), nil
}

func (h *Host) mountRoot() string {
	if h.MountRoot != "" {
		return h.MountRoot
	}
	return DefaultMountRoot
}

// lockRoot is the root's name, as the kernel's table has it, and nobody else's for
// now.
func (h *Host) lockRoot(ctx context.Context) (root string, unlock func(), err error) {
	root, err = filepath.EvalSymlinks(h.mountRoot())
	if err != nil {
		return "", nil, err
	}
	unlock, err = lock(ctx, filepath.Join(root, gate))
	return root, unlock, err
}

// mountable says why s cannot be mounted; its name must still mean its GUID.
func (h *Host) mountable(ctx context.Context, s backup.Snapshot) error {
	props, err := h.properties(ctx, s.String(), "guid", "keystatus", "volsize")
	switch {
	case err != nil:
		return err
	case props["guid"] != s.GUID.String():
		return fmt.Errorf("guid %s instead of %s: %w", props["guid"], s.GUID, backup.ErrChanged)
	case props["keystatus"] == "unavailable":
		return backup.ErrKeyUnavailable
	case props["volsize"] != "-":
		return errors.New("a volume has no files to mount")
	}
	return nil
}

// place finds the folder for s. A replica's snapshot has its source's GUID, so
// another dataset's may be mounted there; then a number is added.
func place(root string, s backup.Snapshot) (string, error) {
	mounts, err := readMounts()
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		dir := filepath.Join(root, s.GUID.String())
		if n > 1 {
			dir += "." + strconv.Itoa(n)
		}
		if seen := mountedOn(mounts, dir); seen == "" || seen == s.String() {
			return dir, nil
		}
	}
}

// open mounts s on dir, unless it is there already, and counts the caller in.
func (h *Host) open(ctx context.Context, s backup.Snapshot, dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	use, err := tryLock(dir+".lock", syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	if err := h.mountOn(ctx, s, dir); err != nil {
		return nil, errors.Join(err, h.closeLast(dir, use))
	}
	return use, nil
}

func (h *Host) mountOn(ctx context.Context, s backup.Snapshot, dir string) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	if mountedOn(mounts, dir) == "" {
		_, err := h.run(ctx, "mount", "-t", "zfs", "-o", "ro,nosuid,nodev,noexec", s.String(), dir)
		if err != nil {
			return err
		}
	}
	// From here on the name cannot move to another snapshot: a mounted one cannot
	// be destroyed. Before, it could.
	if mounts, err = readMounts(); err != nil {
		return err
	}
	if seen := mountedOn(mounts, dir); seen != s.String() {
		return fmt.Errorf("%q is mounted on %s instead: %w", seen, dir, backup.ErrChanged)
	}
	return h.mountable(ctx, s)
}

// leave counts a user out and unmounts after the last one. It has no context: a
// step that was cancelled must unmount too.
func (h *Host) leave(dir string, use *os.File) error {
	_, unlock, err := h.lockRoot(context.Background())
	if err != nil {
		release(use)
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	defer unlock()
	if err := h.closeLast(dir, use); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// closeLast gives up a use of dir and clears it away if it was the last.
func (h *Host) closeLast(dir string, use *os.File) error {
	defer release(use)
	err := syscall.Flock(int(use.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // somebody else still looks
	}
	if err != nil {
		return err
	}
	return h.clearAway(dir)
}

// clearAway unmounts what is on dir and removes the folder, which must be empty:
// nothing is ever deleted below it.
func (h *Host) clearAway(dir string) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.dir != dir {
			continue
		}
		if _, err := h.run(context.Background(), "umount", dir); err != nil {
			return err
		}
	}
	return errors.Join(remove(dir), remove(dir+".lock"))
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ReapMounts unmounts leftovers; see activities.Mounter.
func (h *Host) ReapMounts(ctx context.Context) error {
	root, unlock, err := h.lockRoot(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return nil // nothing was ever mounted
	}
	if err != nil {
		return fmt.Errorf("reap mounts: %w", err)
	}
	defer unlock()
	found, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("reap mounts: %w", err)
	}
	var errs []error
	for _, e := range found {
		if e.Name() == gate {
			continue
		}
		dir := filepath.Join(root, strings.TrimSuffix(e.Name(), ".lock"))
		use, err := tryLock(dir+".lock", syscall.LOCK_SH)
		if err == nil {
			err = h.closeLast(dir, use)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reap mount %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
