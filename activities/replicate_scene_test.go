package activities_test

import (
	"context"
	"sync/atomic"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// newReplica is a source with its replica's pool, and the steps over them.
func newReplica(t *testing.T) (*zfstest.Host, *activities.Pools, activities.ReplicateParams) {
	t.Helper()
	host := hostOf(t, "nvme/a", "hdd/copies")
	return host, newSteps(host), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}
}

// wire is a host whose streams may be tampered with, and whose commands are
// counted as internal/zfs runs them.
type wire struct {
	*zfstest.Host
	commands atomic.Int64
	looked   atomic.Int64 // snapshots whose slow columns were read
	// token, estimate and transfer come before the host's own; false: the host goes on.
	token    func() (error, bool)
	estimate func(backup.Transfer) (error, bool)
	transfer func(ctx context.Context, t backup.Transfer, progress func(int64)) (error, bool)
}

func (w *wire) Datasets(ctx context.Context, roots ...string) ([]backup.Dataset, error) {
	w.commands.Add(1)
	return w.Host.Datasets(ctx, roots...)
}

func (w *wire) Points(ctx context.Context, roots ...string) ([]backup.Snapshot, []backup.Bookmark, error) {
	w.commands.Add(1)
	return w.Host.Points(ctx, roots...)
}

func (w *wire) Exactly(ctx context.Context, names ...string) ([]backup.Dataset, []backup.Snapshot, []backup.Bookmark, error) {
	w.commands.Add(2)
	return w.Host.Exactly(ctx, names...)
}

func (w *wire) Locals(ctx context.Context, roots ...string) (map[string]map[string]string, error) {
	w.commands.Add(1)
	return w.Host.Locals(ctx, roots...)
}

func (w *wire) Facts(ctx context.Context, names ...string) ([]backup.SnapshotFacts, error) {
	if len(names) > 0 {
		w.commands.Add(1)
		w.looked.Add(int64(len(names)))
	}
	return w.Host.Facts(ctx, names...)
}

func (w *wire) Holds(ctx context.Context, names ...string) ([]backup.Hold, error) {
	if len(names) > 0 {
		w.commands.Add(1)
	}
	return w.Host.Holds(ctx, names...)
}

func (w *wire) SetProperties(ctx context.Context, name string, props map[string]string) error {
	w.commands.Add(1)
	return w.Host.SetProperties(ctx, name, props)
}

func (w *wire) Bookmark(ctx context.Context, s backup.Snapshot, name string) error {
	w.commands.Add(1)
	return w.Host.Bookmark(ctx, s, name)
}

func (w *wire) DestroyBookmark(ctx context.Context, b backup.Bookmark) error {
	w.commands.Add(2) // its GUID is read again
	return w.Host.DestroyBookmark(ctx, b)
}

func (w *wire) Hold(ctx context.Context, tag string, names ...string) error {
	w.commands.Add(int64(len(names)))
	return w.Host.Hold(ctx, tag, names...)
}

func (w *wire) Release(ctx context.Context, tag string, names ...string) error {
	w.commands.Add(int64(len(names)))
	return w.Host.Release(ctx, tag, names...)
}

func (w *wire) Token(ctx context.Context, token string) (backup.Token, error) {
	w.commands.Add(1)
	if w.token != nil {
		if err, done := w.token(); done {
			return backup.Token{}, err
		}
	}
	return w.Host.Token(ctx, token)
}

func (w *wire) Estimate(ctx context.Context, t backup.Transfer) (int64, error) {
	w.commands.Add(1)
	if w.estimate != nil {
		if err, done := w.estimate(t); done {
			return 0, err
		}
	}
	return w.Host.Estimate(ctx, t)
}

func (w *wire) Transfer(ctx context.Context, t backup.Transfer, progress func(int64)) error {
	w.commands.Add(2)
	if w.transfer != nil {
		if err, done := w.transfer(ctx, t, progress); done {
			return err
		}
	}
	return w.Host.Transfer(ctx, t, progress)
}

// over puts a wire between steps and their host.
func over(steps *activities.Pools, host *zfstest.Host) *wire {
	w := &wire{Host: host}
	steps.ZFS = w
	return w
}

// failing lets no stream to a dataset through.
func failing(target string, err error) func(context.Context, backup.Transfer, func(int64)) (error, bool) {
	return func(_ context.Context, t backup.Transfer, _ func(int64)) (error, bool) {
		return err, t.Target == target
	}
}

// held are the tags on the snapshots of a dataset.
func held(t *testing.T, host *zfstest.Host, dataset string) (tags []string) {
	t.Helper()
	snaps, _, err := host.Points(t.Context(), dataset)
	must(t, err)
	for _, s := range snaps {
		holds, err := host.Holds(t.Context(), s.String())
		must(t, err)
		for _, h := range holds {
			tags = append(tags, h.Tag)
		}
	}
	return tags
}

// replicate runs one step, which must go well.
func replicate(t *testing.T, steps *activities.Pools, replica, dataset string) activities.ReplicateResult {
	t.Helper()
	res, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: replica, Dataset: dataset})
	must(t, err)
	return res
}

// planned is a replica's plan, which must go well.
func planned(t *testing.T, steps *activities.Pools, replica string) activities.ReplicaPlan {
	t.Helper()
	plan, err := steps.PlanReplica(t.Context(), activities.PlanReplicaParams{Replica: replica})
	must(t, err)
	return plan
}
