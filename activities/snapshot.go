package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// TakeSnapshots takes one snapshot of each dataset, all of them in one
// transaction group. Run again, it finds its own by their name, which history
// fixed, and takes only what is missing. A snapshot of ours with that name is
// success whichever run took it: an hourly run may have been first with the same
// stamp, and the instant is the same.
//
// It takes none more than backup.StampTolerance off the stamp: its own that are
// there by then are counted, and what it did not get to take is reported. If there
// are none it fails with ErrStampTooOld, for the caller to fix another stamp.
func (a *Pools) TakeSnapshots(ctx context.Context, p TakeSnapshotsParams) (TakeSnapshotsResult, error) {
	defer beat(ctx, func() any { return nil })()
	res := TakeSnapshotsResult{Stamp: p.Stamp}
	at, err := p.Stamp.Time()
	if err != nil {
		return res, failure(fmt.Errorf("%w: %w", err, ErrNotConfigured))
	}
	// A dataset may vanish, or a name be taken, between looking and acting; then
	// ZFS takes none, and we look again.
	var t *taking
	for range 3 {
		t = &taking{Pools: a, params: p, at: at}
		err = t.run(ctx)
		if !errors.Is(err, backup.ErrExists) && !errors.Is(err, backup.ErrNotFound) {
			break
		}
	}
	res.Taken, res.Items = t.taken, AtMost(t.items)
	if err != nil {
		return res, failure(fmt.Errorf("snapshot %d datasets of %s: %w", len(p.Datasets), p.Pool, err))
	}
	logInfo(ctx, "snapshots taken", "pool", p.Pool, "stamp", p.Stamp, "count", res.Taken)
	return res, nil
}

// taking is one set of snapshots on its way.
type taking struct {
	*Pools
	params   TakeSnapshotsParams
	at       time.Time // that the stamp names
	commands int       // zfs snapshot, so far
	sets     int       // of these, the ones that took some
	own      int       // snapshots that this run took earlier
	taken    int
	items    []Item
}

func (t *taking) fail(dataset, detail string) {
	t.items = append(t.items, Item{Name: dataset, Outcome: backup.Failed, Detail: detail})
}

func (t *taking) run(ctx context.Context) error {
	want, err := t.missing(ctx)
	if err != nil || len(want) == 0 {
		return err
	}
	if off := t.Now().Sub(t.at); off.Abs() > backup.StampTolerance {
		if t.own == 0 {
			return fmt.Errorf("the stamp %s is %s off: %w", t.params.Stamp, off.Round(time.Second), ErrStampTooOld)
		}
		for _, w := range want {
			t.fail(datasetOf(w), "not taken in time, and nothing is back-dated; the next run takes one")
		}
		return nil
	}
	if err := t.take(ctx, want); err != nil {
		return err
	}
	if t.sets > 1 {
		t.items = append(t.items, Item{Name: t.params.Pool, Outcome: backup.Warning, Detail: fmt.Sprintf(
			"zfs refused all %d snapshots and did not say because of which; they were taken by %d commands, not at one instant", len(want), t.sets)})
	}
	return nil
}

// missing are the snapshots that are not there yet. It counts ours that are.
func (t *taking) missing(ctx context.Context) (want []string, err error) {
	datasets, err := t.ZFS.Datasets(ctx, t.params.Pool)
	if err != nil {
		return nil, err
	}
	there := map[string]backup.Covered{}
	for _, c := range backup.Cover(t.Policy, datasets).Datasets {
		there[c.Dataset.Name] = c
	}
	name := backup.SnapshotName(t.Policy.Prefix, t.params.Stamp)
	for _, d := range t.params.Datasets {
		c, ok := there[d]
		switch {
		case !ok:
			t.fail(d, "the dataset is gone")
		case !c.Snapshotted() || backup.PoolOf(d) != t.params.Pool:
			t.fail(d, "not a dataset that the config snapshots")
		default:
			want = append(want, d+"@"+name)
		}
	}
	facts, err := t.ZFS.Facts(ctx, want...)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, f := range facts {
		found[f.String()] = true
		switch run := f.Properties[backup.PropRun]; {
		case !f.Properties[backup.PropClass].Local():
			t.fail(f.Dataset, f.String()+" exists and is not ours; rename or destroy it by hand")
		case run.Local() && run.Value == t.params.Run:
			t.own++
			t.taken++
		default:
			t.taken++
		}
	}
	return slices.DeleteFunc(want, func(w string) bool { return found[w] }), nil
}
