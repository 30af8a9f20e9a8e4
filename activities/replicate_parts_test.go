package activities_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// newTree is a source with datasets below it, each with a snapshot, and a replica
// of all.
func newTree(t *testing.T, exclude ...string) (*zfstest.Host, *activities.Pools) {
	t.Helper()
	host := hostOf(t, "nvme/a", "nvme/a/b", "nvme/a/b/c", "hdd/copies")
	steps := newSteps(host)
	steps.Policy.Rows[0].Exclude = exclude
	night(t, host, steps, 1)
	return host, steps
}

// night takes a snapshot of all that the rows of nvme/a want.
func night(t *testing.T, host *zfstest.Host, steps *activities.Pools, hour int) {
	t.Helper()
	var all []string
	for _, d := range []string{"nvme/a", "nvme/a/b", "nvme/a/b/c"} {
		host.WriteFile(d, "f", fmt.Sprint("hour ", hour))
		if len(steps.Policy.Rows[0].Exclude) == 0 || d != steps.Policy.Rows[0].Exclude[0] {
			all = append(all, d+"@"+fmt.Sprintf("triplicate-20261124T%02d0000Z", hour))
		}
	}
	must(t, host.TakeSnapshots(t.Context(), all, map[string]string{backup.PropClass: backup.ClassPeriodic}))
}

// TestChildWaitsForItsParent: an empty dataset in the parent's place would keep the
// parent from ever being received, and a child below a half-received one would
// keep that from being discarded.
func TestChildWaitsForItsParent(t *testing.T) {
	for name, half := range map[string]bool{"before its first byte": false, "in the middle": true} {
		t.Run("the parent failed "+name, func(t *testing.T) {
			host, steps := newTree(t)
			w := over(steps, host)
			w.transfer = failing("hdd/copies/a", errBroken)
			if half {
				w.transfer = nil
				host.CutAfter(3)
			}
			for i, d := range planned(t, steps, "a").Sources {
				_, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: d})
				var app *temporal.ApplicationError
				waits := errors.As(err, &app) && app.Type() == activities.TypeNoParent && app.NonRetryable()
				if err == nil || waits != (i > 0) {
					t.Errorf("%s: %v; want a failure, and what is below to wait", d, err)
				}
			}
			w.transfer = nil
			for _, d := range planned(t, steps, "a").Sources {
				replicate(t, steps, "a", d)
			}
			if got := planned(t, steps, "a"); got.UpToDate != 3 || len(got.Sources)+len(got.Items) > 0 {
				t.Errorf("then: %+v", got)
			}
		})
	}
}

// TestExcludedParentIsAContainer: what lies below an excluded dataset, under a row
// of its own, goes into an empty dataset that is marked as ours.
func TestExcludedParentIsAContainer(t *testing.T) {
	host, steps := newTree(t, "nvme/a/b")
	steps.Policy.Rows = append(steps.Policy.Rows, backup.Row{Dataset: "nvme/a/b/c", Frequency: hourly, Keep: backup.Keep{Hourly: 2}})
	for _, d := range planned(t, steps, "a").Sources {
		replicate(t, steps, "a", d)
	}
	if host.Files("hdd/copies/a/b/c@triplicate-20261124T010000Z") == nil || property(t, host, "hdd/copies/a/b", backup.PropContainer) != "on" {
		t.Error("want the child, in a container of ours")
	}
	// Then the row covers it after all.
	steps.Policy.Rows[0].Exclude = nil
	night(t, host, steps, 2)
	_, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a/b"})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != activities.TypeDiverged {
		t.Errorf("error %v, want %s with the way out", err, activities.TypeDiverged)
	}
}

// TestUnchangedCostsLittle: one dataset that is up to date took eight commands,
// three of them over the slow columns of all its snapshots. Now it takes three on
// its own, and a whole replica four.
func TestUnchangedCostsLittle(t *testing.T) {
	host, steps := newTree(t)
	for hour := 1; hour <= 9; hour++ {
		if hour > 1 {
			night(t, host, steps, hour)
		}
		for _, d := range planned(t, steps, "a").Sources {
			replicate(t, steps, "a", d)
		}
	}
	w := over(steps, host)
	res := replicate(t, steps, "a", "nvme/a/b")
	t.Logf("an unchanged dataset: 8 commands before, %d now, slow columns of %d snapshots", w.commands.Load(), w.looked.Load())
	if res.Kind != string(backup.SendNothing) || w.commands.Load() > 3 {
		t.Errorf("%s: %d commands, want at most 3", res.Kind, w.commands.Load())
	}
	w = over(steps, host)
	plan := planned(t, steps, "a")
	t.Logf("an unchanged replica of %d datasets: %d commands and no step", plan.UpToDate, w.commands.Load())
	if plan.UpToDate != 3 || len(plan.Sources)+len(plan.Items) > 0 || w.commands.Load() > 4 {
		t.Errorf("plan %+v with %d commands, want 3 up to date with at most 4", plan, w.commands.Load())
	}
	if calls := len(host.Calls()); calls != len(w.Calls()) {
		t.Error("something was changed")
	}
}

// TestNotSettledIsAStep: what is up to date but not in order is not skipped.
func TestNotSettledIsAStep(t *testing.T) {
	last := "hdd/copies/a/b@triplicate-20261124T010000Z"
	for name, upset := range map[string]func(*testing.T, *zfstest.Host){
		"the base is not held": func(t *testing.T, h *zfstest.Host) {
			must(t, h.Release(t.Context(), backup.HoldTag("a"), last))
		},
		"a hold was left on the source": func(t *testing.T, h *zfstest.Host) {
			must(t, h.Hold(t.Context(), backup.StepTag("a"), "nvme/a/b@triplicate-20261124T010000Z"))
		},
		"the bookmark is gone": func(t *testing.T, h *zfstest.Host) {
			_, marks, err := h.Points(t.Context(), "nvme/a/b")
			must(t, err)
			for _, m := range marks {
				if m.Dataset == "nvme/a/b" {
					must(t, h.DestroyBookmark(t.Context(), m))
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			host, steps := newTree(t)
			for _, d := range planned(t, steps, "a").Sources {
				replicate(t, steps, "a", d)
			}
			upset(t, host)
			if diff := cmp.Diff([]string{"nvme/a/b"}, planned(t, steps, "a").Sources); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
			replicate(t, steps, "a", "nvme/a/b")
			if got := planned(t, steps, "a"); got.UpToDate != 3 {
				t.Errorf("after its step: %+v", got)
			}
			if tags := held(t, host, "nvme/a/b"); len(tags) > 0 {
				t.Errorf("the source is held by %v", tags)
			}
		})
	}
}

// TestBehindIsSaidOfTheUnchangedToo.
func TestBehindIsSaidOfTheUnchangedToo(t *testing.T) {
	_, steps := newTree(t)
	for _, d := range planned(t, steps, "a").Sources {
		replicate(t, steps, "a", d)
	}
	plan, err := steps.PlanReplica(t.Context(), activities.PlanReplicaParams{Replica: "a", Stamp: "20261124T020000Z"})
	must(t, err)
	if plan.UpToDate != 3 || said(plan.Items)["nvme/a/b"] != backup.Warning {
		t.Errorf("plan = %+v, want three up to date, and behind", plan)
	}
}

// TestOriginalsAreKept for a restore (trap 5), from the first byte on, and only
// written when they change.
func TestOriginalsAreKept(t *testing.T) {
	host, steps := newTree(t)
	host.SetProperty("nvme/a", "recordsize", "1048576")
	host.SetProperty("nvme/a", "mountpoint", "/srv/a")
	must(t, host.SetProperties(t.Context(), "nvme/a", map[string]string{"me:note": "keep", backup.PropPolicy: "x"}))
	host.CutAfter(3)
	if _, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}); err == nil {
		t.Fatal("a cut stream passed as success")
	}
	originals := func(dataset string) map[string]string {
		t.Helper()
		set, err := backup.ParseOriginals(property(t, host, dataset, backup.PropOriginal))
		must(t, err)
		return set
	}
	want := map[string]string{"recordsize": "1048576", "mountpoint": "/srv/a", "me:note": "keep"}
	if diff := cmp.Diff(want, originals("hdd/copies/a")); diff != "" {
		t.Errorf("half received (-want +got):\n%s", diff)
	}
	for _, d := range planned(t, steps, "a").Sources {
		replicate(t, steps, "a", d)
	}
	if got := originals("hdd/copies/a/b"); len(got) != 0 {
		t.Errorf("nothing was set on nvme/a/b, kept is %v", got)
	}
	host.SetProperty("nvme/a", "quota", "1073741824")
	want["quota"] = "1073741824"
	before := len(host.Calls())
	planned(t, steps, "a")
	planned(t, steps, "a")
	if diff := cmp.Diff(want, originals("hdd/copies/a")); diff != "" || len(host.Calls()) != before+1 {
		t.Errorf("changed, %v (-want +got):\n%s", host.Calls()[before:], diff)
	}
}

// TestForeignTargetGetsNoOriginals: what is in the way is not written on.
func TestForeignTargetGetsNoOriginals(t *testing.T) {
	host, steps := newTree(t)
	host.MkDataset("hdd/copies/a")
	planned(t, steps, "a")
	if calls := host.Calls(); len(calls) != 1 { // the night's snapshot
		t.Errorf("something was written: %v", calls)
	}
}
