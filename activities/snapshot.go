package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"triplicate/internal/backup"
)

// TakeSnapshots takes one snapshot of each dataset, all of them in one
// transaction group. Run again, it finds its own by their name, which history
// fixed, and takes only what is missing.
func (a *Pools) TakeSnapshots(ctx context.Context, p TakeSnapshotsParams) (TakeSnapshotsResult, error) {
	defer beat(ctx, func() any { return nil })()
	res := TakeSnapshotsResult{Stamp: p.Stamp}
	if _, err := p.Stamp.Time(); err != nil {
		return res, failure(fmt.Errorf("%w: %w", err, ErrNotConfigured))
	}
	// A dataset may vanish, or a name be taken, between looking and acting; then
	// ZFS takes none, and we look again.
	var err error
	for range 3 {
		res.Taken, res.Items, err = a.takeMissing(ctx, p)
		if !errors.Is(err, backup.ErrExists) && !errors.Is(err, backup.ErrNotFound) {
			break
		}
	}
	if err != nil {
		return res, failure(fmt.Errorf("snapshot %d datasets of %s: %w", len(p.Datasets), p.Pool, err))
	}
	logInfo(ctx, "snapshots taken", "pool", p.Pool, "stamp", p.Stamp, "count", res.Taken)
	return res, nil
}

func (a *Pools) takeMissing(ctx context.Context, p TakeSnapshotsParams) (taken int, items []Item, err error) {
	datasets, err := a.ZFS.Datasets(ctx, p.Pool)
	if err != nil {
		return 0, nil, err
	}
	cover := backup.Cover(a.Policy, datasets)
	name := backup.SnapshotName(a.Policy.Prefix, p.Stamp)
	var want []string
	for _, d := range p.Datasets {
		i := slices.IndexFunc(cover.Datasets, func(c backup.Covered) bool { return c.Dataset.Name == d })
		switch {
		case i < 0:
			items = append(items, Item{Name: d, Outcome: backup.Failed, Detail: "the dataset is gone"})
		case !cover.Datasets[i].Snapshotted() || backup.PoolOf(d) != p.Pool:
			items = append(items, Item{Name: d, Outcome: backup.Failed, Detail: "not a dataset that the config snapshots"})
		default:
			want = append(want, d+"@"+name)
		}
	}
	facts, err := a.ZFS.Facts(ctx, want...)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range facts {
		want = slices.DeleteFunc(want, func(w string) bool { return w == f.String() })
		if f.Properties[backup.PropClass].Local() {
			taken++
			continue
		}
		items = append(items, Item{
			Name: f.Dataset, Outcome: backup.Failed,
			Detail: f.String() + " exists and is not ours; rename or destroy it by hand",
		})
	}
	if len(want) == 0 {
		return taken, items, nil
	}
	err = a.ZFS.TakeSnapshots(ctx, want, map[string]string{
		backup.PropClass: backup.ClassPeriodic, backup.PropRun: p.Run,
	})
	return taken + len(want), items, err
}
