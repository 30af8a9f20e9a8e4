package activities

import (
	"context"
	"errors"
	"fmt"

	"triplicate/internal/backup"
)

// Reap removes what a killed daemon left behind: mounts of snapshots, which make a
// whole batch of destroys fail, and holds of steps on sources, which would make
// `qm destroy` fail. The daemon calls it at start, before any step runs; a step
// that is tried again mounts and holds anew. A mount that cannot be undone does
// not keep the holds.
func (a *Pools) Reap(ctx context.Context) error {
	err := a.ZFS.ReapMounts(ctx)
	if err != nil {
		err = fmt.Errorf("unmount leftovers: %w", err)
	}
	return errors.Join(err, a.reapHolds(ctx))
}

// reapHolds releases every step's hold on the pools, also of replicas that were
// renamed or taken out of the config. It must be quick, for the daemon waits for
// it: the fast listing says which few of perhaps a hundred thousand snapshots can
// be held, and the slow columns are read of those.
func (a *Pools) reapHolds(ctx context.Context) error {
	all, failed, err := a.listPools(ctx, true)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	var problems []error
	for pool, err := range failed {
		problems = append(problems, fmt.Errorf("look for leftovers on %s: %w", pool, err))
	}
	facts, err := a.ZFS.Facts(ctx, names(backup.MayBeHeld(all.snaps, all.marks))...)
	if err == nil {
		err = a.release(ctx, facts, backup.IsStepTag)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("release leftover holds: %w", err))
	}
	return errors.Join(problems...)
}
