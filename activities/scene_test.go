package activities_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

var (
	hourly   = backup.Frequency{Kind: backup.EachHour}
	daily    = backup.Frequency{Kind: backup.EachDay, At: backup.TimeOfDay{Hour: 1, Minute: 30}}
	disabled = backup.Frequency{Kind: backup.Disabled}
)

// stepsOf are the steps by some rows.
func stepsOf(host activities.ZFS, rows ...backup.Row) *activities.Pools {
	return &activities.Pools{
		ZFS: host, Locks: activities.NewLocks(), Now: func() time.Time { return now },
		Policy: backup.Policy{Host: "smith", Prefix: "triplicate", Zone: time.UTC, Rows: rows},
	}
}

// hostOf is a host with these datasets on pools nvme and hdd.
func hostOf(t testing.TB, datasets ...string) *zfstest.Host {
	t.Helper()
	host := zfstest.New(t, "nvme", "hdd")
	for _, d := range datasets {
		host.MkDataset(d)
	}
	return host
}

// grow gives a dataset n snapshots of ours, the newest an hour ago.
func grow(t testing.TB, host *zfstest.Host, dataset string, n int, apart time.Duration) {
	t.Helper()
	for i := range n {
		at := now.Add(-time.Hour - time.Duration(n-1-i)*apart)
		host.SetNow(func() time.Time { return at })
		name := dataset + "@" + backup.SnapshotName("triplicate", backup.StampOf(at))
		if err := host.TakeSnapshots(t.Context(), []string{name}, map[string]string{backup.PropClass: backup.ClassPeriodic}); err != nil {
			t.Fatal(err)
		}
	}
}

const day = 24 * time.Hour

// count is how many snapshots a dataset has.
func count(t testing.TB, host *zfstest.Host, dataset string) int {
	t.Helper()
	snaps, _, err := host.Points(t.Context(), dataset)
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(snaps, func(s backup.Snapshot) bool { return s.Dataset != dataset }))
}

// prune prunes one scope, which must not be an error.
func prune(t testing.TB, steps *activities.Pools, scope string) activities.PruneResult {
	t.Helper()
	res, err := steps.Prune(t.Context(), activities.PruneParams{Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// said is the outcomes of items by name.
func said(items []activities.Item) map[string]backup.Outcome {
	m := map[string]backup.Outcome{}
	for _, it := range items {
		m[it.Name] = it.Outcome
	}
	return m
}

// property is a dataset's own value of a property.
func property(t testing.TB, host *zfstest.Host, dataset, name string) string {
	t.Helper()
	all, err := host.Datasets(t.Context(), dataset)
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	if p := all[0].Properties[name]; p.Local() {
		return p.Value
	}
	return ""
}

// counting counts the calls that are zfs commands.
type counting struct {
	*zfstest.Host
	n atomic.Int64
}

func (c *counting) Datasets(ctx context.Context, roots ...string) ([]backup.Dataset, error) {
	c.n.Add(1)
	return c.Host.Datasets(ctx, roots...)
}

func (c *counting) Points(ctx context.Context, roots ...string) ([]backup.Snapshot, []backup.Bookmark, error) {
	c.n.Add(1)
	return c.Host.Points(ctx, roots...)
}

func (c *counting) Facts(ctx context.Context, names ...string) ([]backup.SnapshotFacts, error) {
	c.n.Add(1)
	return c.Host.Facts(ctx, names...)
}

func (c *counting) DestroySnapshots(ctx context.Context, dataset string, snaps []backup.Snapshot) error {
	c.n.Add(1)
	return c.Host.DestroySnapshots(ctx, dataset, snaps)
}

func (c *counting) SetProperties(ctx context.Context, name string, props map[string]string) error {
	c.n.Add(1)
	return c.Host.SetProperties(ctx, name, props)
}

// refusing does not take snapshots of some datasets, nor, as ZFS, anything with
// them.
type refusing struct {
	*zfstest.Host
	refuse   func(names []string) error
	commands [][]string
}

func (r *refusing) TakeSnapshots(ctx context.Context, names []string, props map[string]string) error {
	r.commands = append(r.commands, slices.Clone(names))
	if err := r.refuse(names); err != nil {
		return err
	}
	return r.Host.TakeSnapshots(ctx, names, props)
}

// among are the names of some datasets' snapshots.
func among(names []string, datasets ...string) (found []string) {
	for _, n := range names {
		if d, _, _ := strings.Cut(n, "@"); slices.Contains(datasets, d) {
			found = append(found, n)
		}
	}
	return found
}
