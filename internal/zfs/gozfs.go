package zfs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"

	gozfs "github.com/mistifyio/go-zfs/v3"

	"triplicate/internal/backup"
)

// Pools lists the imported pools.
func (h *Host) Pools(ctx context.Context) ([]backup.Pool, error) {
	list, err := abandonable(ctx, gozfs.ListZpools)
	if err != nil {
		return nil, fmt.Errorf("list pools: %w", err)
	}
	pools := make([]backup.Pool, len(list))
	for i, p := range list {
		pools[i] = backup.Pool{
			Name: p.Name, Health: p.Health, ReadOnly: p.ReadOnly, Size: int64(p.Size), Free: int64(p.Free),
		}
	}
	return pools, nil
}

// Create makes an empty filesystem that holds replicas, with its parents, and marks
// it as such; see activities.Transferrer. canmount=off: nobody can write into it
// by accident.
func (h *Host) Create(ctx context.Context, dataset string) error {
	if err := checkName(dataset); err != nil {
		return err
	}
	if _, err := h.guid(ctx, dataset); !errors.Is(err, backup.ErrNotFound) {
		return err // also nil: it is there
	}
	parent := path.Dir(dataset)
	if parent == "." {
		return fmt.Errorf("create %s: pool %w", dataset, backup.ErrNotFound)
	}
	if err := h.Create(ctx, parent); err != nil {
		return err
	}
	_, err := abandonable(ctx, func() (*gozfs.Dataset, error) {
		return gozfs.CreateFilesystem(dataset, map[string]string{
			"canmount": "off", "readonly": "on", backup.PropContainer: "on",
		})
	})
	if err != nil && !errors.Is(err, backup.ErrExists) {
		return fmt.Errorf("create %s: %w", dataset, err)
	}
	return nil
}

// abandonable runs a call of go-zfs, which takes no context, and stops waiting
// for it when ctx ends: a command on a hung pool may never return. Its errors
// are turned into ours, for they do not unwrap.
func abandonable[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultDeadline)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		v, err := call()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, goZFSError(a.err)
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func goZFSError(err error) error {
	var ze *gozfs.Error
	if !errors.As(err, &ze) {
		return err
	}
	e := &Error{Args: []string{ze.Debug}, Code: -1, Stderr: ze.Stderr, Err: ze.Err}
	var exit *exec.ExitError
	if errors.As(ze.Err, &exit) {
		e.Code = exit.ExitCode()
	}
	if known := classify(ze.Stderr); known != nil {
		e.Err = known
	}
	return e
}
