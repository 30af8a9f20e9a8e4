package activities

import (
	"context"
	"errors"
	"fmt"

	"triplicate/internal/backup"
)

// releaseSteps takes the step's hold off the source's snapshots.
func (s *sending) releaseSteps(ctx context.Context, r backup.Replica, snaps []backup.Snapshot) error {
	names := make([]string, 0, len(snaps))
	for _, x := range snaps {
		names = append(names, x.String())
	}
	held, err := s.heldBy(ctx, backup.StepTag(r.Name), names)
	if err != nil || len(held) == 0 {
		return err
	}
	return s.ZFS.Release(ctx, backup.StepTag(r.Name), held...)
}

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

func (a *Pools) reapHolds(ctx context.Context) error {
	w, err := a.look(ctx)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, r := range a.Policy.Replicas {
		for _, c := range w.cover.Sources(r) {
			s := &sending{Pools: a, replica: r}
			if err := s.releaseSteps(ctx, r, w.Snapshots[c.Dataset.Name]); err != nil {
				return fmt.Errorf("release leftover holds of %s: %w", c.Dataset.Name, err)
			}
		}
	}
	return nil
}
