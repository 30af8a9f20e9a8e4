package activities_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// TestPruneOfManyHeldSnapshotsStaysSmall: a result is one payload of the history.
func TestPruneOfManyHeldSnapshotsStaysSmall(t *testing.T) {
	host := hostOf(t, "hdd/data")
	steps := stepsOf(host, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 2}})
	grow(t, host, "hdd/data", 500, day)
	snaps, _, err := host.Points(t.Context(), "hdd/data")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range snaps {
		names = append(names, s.String())
	}
	if err := host.Hold(t.Context(), "mine", names...); err != nil {
		t.Fatal(err)
	}
	if err := steps.AckRetention(t.Context(), "hdd/data"); err != nil {
		t.Fatal(err)
	}
	res := prune(t, steps, activities.PlanNightly)
	data, err := json.Marshal(res)
	if err != nil || len(data) > 256<<10 || len(res.Items) > 201 {
		t.Errorf("%d items, %d bytes, %v; want at most 201 and 256 KiB", len(res.Items), len(data), err)
	}
	if last := res.Items[len(res.Items)-1]; last.Name != "and 298 more" || res.Kept != 500 || res.Destroyed != 0 {
		t.Errorf("%d kept, %d destroyed, the last item is %+v", res.Kept, res.Destroyed, last)
	}
}

// TestPruneTakesOneLookAtMany: 500 datasets with one doomed snapshot each. When
// each had its own look at the slow columns it was 1003 calls: two listings, the
// policy's mark, 500 looks and 500 destroys. Now it is one look.
func TestPruneTakesOneLookAtMany(t *testing.T) {
	const datasets = 500
	host := &counting{Host: hostOf(t)}
	at := []time.Time{now.Add(-3 * time.Hour), now.Add(-2 * time.Hour), now.Add(-time.Hour)}
	for i := range datasets {
		host.MkDataset(fmt.Sprintf("nvme/%03d", i))
	}
	for _, at := range at {
		host.SetNow(func() time.Time { return at })
		var names []string
		for i := range datasets {
			names = append(names, fmt.Sprintf("nvme/%03d@%s", i, backup.SnapshotName("triplicate", backup.StampOf(at))))
		}
		if err := host.TakeSnapshots(t.Context(), names, map[string]string{backup.PropClass: backup.ClassPeriodic}); err != nil {
			t.Fatal(err)
		}
	}
	steps := stepsOf(host, backup.Row{Dataset: "nvme", Frequency: hourly, Keep: backup.Keep{Hourly: 2}})
	res := prune(t, steps, activities.PlanHourly)
	if res.Destroyed != datasets || len(res.Items) > 0 {
		t.Errorf("%d destroyed, %+v", res.Destroyed, res.Items)
	}
	if got := int(host.n.Load()); got > datasets+4 {
		t.Errorf("%d calls, want at most one a dataset and four", got)
	} else {
		t.Logf("%d calls of zfs for %d datasets", got, datasets)
	}
}

// TestSurprisesStay: what the fast listing cannot tell is looked at before.
func TestSurprisesStay(t *testing.T) {
	host := hostOf(t, "hdd/data")
	steps := stepsOf(host, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 1}})
	foreign := "hdd/data@" + backup.SnapshotName("triplicate", backup.StampOf(now.Add(-30*day)))
	if err := host.TakeSnapshots(t.Context(), []string{foreign}, nil); err != nil {
		t.Fatal(err)
	}
	grow(t, host, "hdd/data", 6, day)
	snaps, _, err := host.Points(t.Context(), "hdd/data")
	if err != nil {
		t.Fatal(err)
	}
	snaps = snaps[1:]
	if err := host.Hold(t.Context(), "mine", snaps[0].String()); err != nil {
		t.Fatal(err)
	}
	host.Clone(snaps[1].String(), "hdd/clone")
	host.Leave(snaps[2])
	res := prune(t, steps, activities.PlanNightly)
	why := map[string]string{}
	for _, it := range res.Items {
		why[it.Name] = it.Detail
	}
	for name, want := range map[string]string{
		snaps[0].String(): "it is held", snaps[1].String(): "it has clones", snaps[2].String(): "it is mounted", foreign: "not our mark",
	} {
		if !strings.Contains(why[name], want) {
			t.Errorf("%s: %q, want %q", name, why[name], want)
		}
	}
	if got := count(t, host, "hdd/data"); got != 5 || res.Destroyed != 2 || res.Kept != 5 {
		t.Errorf("%d are left, %d destroyed, %d kept; want 5, 2, 5", got, res.Destroyed, res.Kept)
	}
}

// TestReplicaUnderADisabledRowIsPruned: the row only says the replica's keep.
func TestReplicaUnderADisabledRowIsPruned(t *testing.T) {
	for name, c := range map[string]struct {
		c    backup.Covered
		want bool
	}{
		"hourly":              {backup.Covered{Row: &backup.Row{Frequency: hourly}}, true},
		"disabled":            {backup.Covered{Row: &backup.Row{Frequency: disabled}}, false},
		"disabled, a replica": {backup.Covered{Row: &backup.Row{Frequency: disabled}, Replica: &backup.Replica{}}, true},
		"no row":              {backup.Covered{}, false},
		"no row, a replica":   {backup.Covered{Replica: &backup.Replica{}}, false},
	} {
		if got := activities.Pruned(c.c); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
