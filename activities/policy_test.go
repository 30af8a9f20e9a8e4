package activities_test

import (
	"errors"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// TestWiderRowDoesNotTakeOverWithoutAck: the row of hdd/data is deleted, and the
// one of hdd keeps less. What lies below hdd/data was kept by the row that is gone.
func TestWiderRowDoesNotTakeOverWithoutAck(t *testing.T) {
	host := hostOf(t, "hdd/data", "hdd/data/photos", "hdd/vm")
	wide := backup.Row{Dataset: "hdd", Frequency: daily, Keep: backup.Keep{Daily: 7}}
	narrow := backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 14, Weekly: 8, Monthly: 6}}
	steps := stepsOf(host, wide, narrow)
	for _, d := range []string{"hdd/data", "hdd/data/photos", "hdd/vm"} {
		grow(t, host, d, 14, day)
	}
	prune(t, steps, activities.PlanNightly)
	if got := count(t, host, "hdd/vm"); got != 7 {
		t.Fatalf("hdd/vm has %d snapshots after the first prune, want 7", got)
	}

	steps.Policy.Rows = []backup.Row{wide}
	for range 2 {
		got := said(prune(t, steps, activities.PlanNightly).Items)
		for _, d := range []string{"hdd/data", "hdd/data/photos"} {
			if n := count(t, host, d); n != 14 || got[d] != backup.NeedsApproval {
				t.Errorf("%s: %d snapshots, %q; want all 14 and an approval asked for", d, n, got[d])
			}
		}
	}
	if err := steps.AckRetention(t.Context(), "hdd"); err != nil {
		t.Fatal(err)
	}
	prune(t, steps, activities.PlanNightly)
	for _, d := range []string{"hdd/data", "hdd/data/photos"} {
		if n := count(t, host, d); n != 7 {
			t.Errorf("%s: %d snapshots after the ack, want 7", d, n)
		}
	}
}

// TestNoDatasetAcknowledgesForItsRow: one dataset has nothing that would go by the
// smaller policy. That says nothing of the others.
func TestNoDatasetAcknowledgesForItsRow(t *testing.T) {
	host := hostOf(t, "hdd/data", "hdd/data/photos")
	steps := stepsOf(host, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 14}})
	grow(t, host, "hdd/data/photos", 14, day)
	prune(t, steps, activities.PlanNightly)
	recorded := property(t, host, "hdd/data", backup.PropPolicy)

	host.MkDataset("hdd/data/a-new-one")
	steps.Policy.Rows[0].Keep.Daily = 3
	for range 2 {
		got := said(prune(t, steps, activities.PlanNightly).Items)
		if n := count(t, host, "hdd/data/photos"); n != 14 {
			t.Fatalf("%d snapshots are left of 14, without an ack", n)
		}
		for _, d := range []string{"hdd/data", "hdd/data/photos", "hdd/data/a-new-one"} {
			if got[d] != backup.NeedsApproval {
				t.Errorf("%s: %q, want an approval asked for", d, got[d])
			}
		}
	}
	if got := property(t, host, "hdd/data", backup.PropPolicy); got != recorded {
		t.Errorf("the recorded policy became %q without an ack", got)
	}
}

// TestShrinking is who has to ask, by rows that come and change.
func TestShrinking(t *testing.T) {
	row := func(dataset string, keep backup.Keep) backup.Row {
		return backup.Row{Dataset: dataset, Frequency: daily, Keep: keep}
	}
	for name, c := range map[string]struct {
		before, after []backup.Row
		want          int // snapshots of hdd/data/photos in the end, of 10
	}{
		"first policy":          {nil, []backup.Row{row("hdd/data", backup.Keep{Daily: 4})}, 4},
		"raised":                {[]backup.Row{row("hdd/data", backup.Keep{Daily: 7})}, []backup.Row{row("hdd/data", backup.Keep{Daily: 9})}, 7},
		"lowered":               {[]backup.Row{row("hdd/data", backup.Keep{Daily: 7})}, []backup.Row{row("hdd/data", backup.Keep{Daily: 4})}, 7},
		"narrower row, less":    {[]backup.Row{row("hdd", backup.Keep{Daily: 7})}, []backup.Row{row("hdd", backup.Keep{Daily: 7}), row("hdd/data/photos", backup.Keep{Daily: 4})}, 7},
		"narrower row, as much": {[]backup.Row{row("hdd", backup.Keep{Daily: 7})}, []backup.Row{row("hdd", backup.Keep{Daily: 7}), row("hdd/data/photos", backup.Keep{Daily: 7})}, 7},
		"nested from the first": {nil, []backup.Row{row("hdd", backup.Keep{Daily: 7}), row("hdd/data/photos", backup.Keep{Daily: 4})}, 4},
		"another tier":          {[]backup.Row{row("hdd/data", backup.Keep{Daily: 7})}, []backup.Row{row("hdd/data", backup.Keep{Weekly: 7})}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			host := hostOf(t, "hdd/data", "hdd/data/photos")
			grow(t, host, "hdd/data/photos", 10, day)
			steps := stepsOf(host, c.before...)
			prune(t, steps, activities.PlanNightly)
			steps.Policy.Rows = c.after
			prune(t, steps, activities.PlanNightly)
			prune(t, steps, activities.PlanNightly)
			if got := count(t, host, "hdd/data/photos"); got != c.want {
				t.Errorf("%d snapshots are left, want %d", got, c.want)
			}
		})
	}
}

// TestNestedRowsOfBothScopes: whichever prune comes first, no row of a new config
// needs an ack because of the other.
func TestNestedRowsOfBothScopes(t *testing.T) {
	for _, order := range [][]string{
		{activities.PlanNightly, activities.PlanHourly}, {activities.PlanHourly, activities.PlanNightly},
	} {
		host := hostOf(t, "hdd/a", "hdd/a/b")
		grow(t, host, "hdd/a/b", 5, day/24)
		grow(t, host, "hdd/a", 5, day)
		steps := stepsOf(host,
			backup.Row{Dataset: "hdd/a", Frequency: daily, Keep: backup.Keep{Daily: 3}},
			backup.Row{Dataset: "hdd/a/b", Frequency: hourly, Keep: backup.Keep{Hourly: 2}})
		for _, scope := range order {
			if res := prune(t, steps, scope); len(res.Items) > 0 {
				t.Errorf("%v: %+v", order, res.Items)
			}
		}
		if a, b := count(t, host, "hdd/a"), count(t, host, "hdd/a/b"); a != 3 || b != 2 {
			t.Errorf("%v: %d and %d snapshots are left, want 3 and 2", order, a, b)
		}
	}
}

// TestNothingGoesByAnUnrecordedPolicy: a policy that is not on the pool would not
// be missed when it shrinks.
func TestNothingGoesByAnUnrecordedPolicy(t *testing.T) {
	host := hostOf(t, "hdd/data")
	grow(t, host, "hdd/data", 5, day)
	steps := stepsOf(host, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 3}})
	host.FailCall(1, false, errKilled)
	res := prune(t, steps, activities.PlanNightly)
	if n := count(t, host, "hdd/data"); n != 5 || said(res.Items)["hdd/data"] != backup.Failed {
		t.Errorf("%d snapshots are left of 5, %+v; want all and a failure", n, res.Items)
	}
	if prune(t, steps, activities.PlanNightly); count(t, host, "hdd/data") != 3 {
		t.Error("the next prune did not go on")
	}
}

// TestMassAckIsUsedUpByItsOwnPrune: by a whole prune of its row, not by another
// row's, nor by one that left a dataset out.
func TestMassAckIsUsedUpByItsOwnPrune(t *testing.T) {
	host := hostOf(t, "hdd/data", "hdd/data/photos", "nvme/a")
	steps := stepsOf(host,
		backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 3}},
		backup.Row{Dataset: "nvme/a", Frequency: hourly, Keep: backup.Keep{Hourly: 3}})
	for _, d := range []string{"hdd/data", "hdd/data/photos"} {
		grow(t, host, d, 40, day)
	}
	left := func() [2]int { return [2]int{count(t, host, "hdd/data"), count(t, host, "hdd/data/photos")} }
	if prune(t, steps, activities.PlanNightly); left() != [2]int{40, 40} {
		t.Fatalf("a mass destroy without an ack: %v are left", left())
	}
	if err := steps.AckRetention(t.Context(), "hdd/data"); err != nil {
		t.Fatal(err)
	}
	prune(t, steps, activities.PlanHourly)
	unlock, ok := steps.Locks.TryLock("hdd/data/photos")
	if !ok {
		t.Fatal("locked")
	}
	if prune(t, steps, activities.PlanNightly); left() != [2]int{3, 40} {
		t.Errorf("with photos in use, after an hourly prune: %v are left, want 3 and 40", left())
	}
	unlock()
	if prune(t, steps, activities.PlanNightly); left() != [2]int{3, 3} {
		t.Errorf("the ack was gone before all of the row was pruned: %v are left", left())
	}
	if got := property(t, host, "hdd/data", backup.PropMass); got != "used" {
		t.Errorf("the ack reads %q, want it used", got)
	}
}

// TestAnAckIsForWhatWaits: where less is kept and nothing much goes by it, the yes is
// to that, and no mass destroy is allowed for later. A second yes changes nothing.
func TestAnAckIsForWhatWaits(t *testing.T) {
	host := hostOf(t, "hdd/data")
	steps := stepsOf(host, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 14}})
	grow(t, host, "hdd/data", 10, day)
	prune(t, steps, activities.PlanNightly)
	if err := steps.AckRetention(t.Context(), "hdd/data"); !errors.Is(err, activities.ErrNothingWaits) {
		t.Errorf("an ack that nobody asked for: %v", err)
	}
	steps.Policy.Rows[0].Keep.Daily = 7
	must(t, steps.AckRetention(t.Context(), "hdd/data"))
	if got := property(t, host, "hdd/data", backup.PropMass); got != "" {
		t.Errorf("a mass destroy is allowed (%q), and none was refused", got)
	}
	if prune(t, steps, activities.PlanNightly); count(t, host, "hdd/data") != 7 {
		t.Errorf("%d snapshots are left, want 7", count(t, host, "hdd/data"))
	}
	host.MkDataset("hdd/data/photos")
	grow(t, host, "hdd/data/photos", 40, day)
	must(t, steps.AckRetention(t.Context(), "hdd/data"))
	must(t, steps.AckRetention(t.Context(), "hdd/data"))
}
