package activities

import (
	"context"

	"triplicate/internal/backup"
)

// heldBy filters names by tag. Facts says which are held at all; asking each for
// its holds is super-linear in OpenZFS (openzfs#13372).
func (a *Pools) heldBy(ctx context.Context, tag string, names []string) ([]string, error) {
	facts, err := a.ZFS.Facts(ctx, names...)
	if err != nil {
		return nil, err
	}
	holds, err := a.holds(ctx, facts, func(t string) bool { return t == tag })
	if err != nil {
		return nil, err
	}
	var held []string
	for _, h := range holds {
		held = append(held, h.Snapshot)
	}
	return held, nil
}

// holds lists the holds with such a tag on those of the snapshots that are held.
func (a *Pools) holds(ctx context.Context, facts []backup.SnapshotFacts, which func(tag string) bool) ([]backup.Hold, error) {
	var some []string
	for _, f := range facts {
		if f.UserRefs > 0 {
			some = append(some, f.String())
		}
	}
	if len(some) == 0 {
		return nil, nil
	}
	all, err := a.ZFS.Holds(ctx, some...)
	var holds []backup.Hold
	for _, h := range all {
		if which(h.Tag) {
			holds = append(holds, h)
		}
	}
	return holds, err
}

// release takes the holds with such a tag off snapshots.
func (a *Pools) release(ctx context.Context, facts []backup.SnapshotFacts, which func(tag string) bool) error {
	holds, err := a.holds(ctx, facts, which)
	if err != nil {
		return err
	}
	for _, h := range holds {
		if err := a.ZFS.Release(ctx, h.Tag, h.Snapshot); err != nil {
			return err
		}
	}
	return nil
}
