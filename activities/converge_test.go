package activities_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

var errKilled = errors.New("killed here")

var now = time.Date(2026, 11, 25, 0, 30, 0, 0, time.UTC)

// newSteps are the steps over one source and its replica.
func newSteps(host *zfstest.Host) *activities.Pools {
	return &activities.Pools{
		ZFS: host, Locks: activities.NewLocks(), Now: func() time.Time { return now },
		Policy: backup.Policy{
			Host: "smith", Prefix: "triplicate", Zone: time.UTC,
			Rows: []backup.Row{
				{Dataset: "nvme/a", Frequency: backup.Frequency{Kind: backup.EachHour}, Keep: backup.Keep{Hourly: 2}},
				{Dataset: "hdd/copies", Frequency: backup.Frequency{Kind: backup.EachDay}, Keep: backup.Keep{Daily: 2}},
			},
			Replicas: []backup.Replica{{Name: "a", Source: "nvme/a", Target: "hdd/copies/a"}},
		},
	}
}

// snapshot takes one at an hour of the day, with something new to copy.
func snapshot(t *testing.T, host *zfstest.Host, steps *activities.Pools, hour int) backup.Stamp {
	t.Helper()
	stamp := backup.StampOf(time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC))
	at := time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC)
	host.SetNow(func() time.Time { return at })
	was := steps.Now
	steps.Now = func() time.Time { return at }
	defer func() { steps.Now = was }()
	host.WriteFile("nvme/a", "f", fmt.Sprint("hour ", hour))
	res, err := steps.TakeSnapshots(t.Context(), activities.TakeSnapshotsParams{
		Pool: "nvme", Datasets: []string{"nvme/a"}, Stamp: stamp, Run: "run",
	})
	if err != nil || res.Taken != 1 || len(res.Items) != 0 {
		t.Fatalf("TakeSnapshots = %+v, %v", res, err)
	}
	return stamp
}

// TestReplicateConvergesFromEveryPoint cuts the step off at every changing call,
// before and after it acted, and runs it again: both ends come out the same.
func TestReplicateConvergesFromEveryPoint(t *testing.T) {
	for _, late := range []bool{false, true} {
		for n := 1; ; n++ {
			host := zfstest.New(t, "nvme", "hdd")
			host.MkDataset("nvme/a")
			host.MkDataset("hdd/copies")
			steps := newSteps(host)
			params := activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}
			snapshot(t, host, steps, 1)
			if _, err := steps.ReplicateDataset(t.Context(), params); err != nil {
				t.Fatal(err)
			}
			stamp := snapshot(t, host, steps, 2)
			host.FailCall(n, late, errKilled)
			before := len(host.Calls())
			_, err := steps.ReplicateDataset(t.Context(), params)
			if err == nil {
				if n < 5 {
					t.Fatalf("a step of %d calls, too few to believe", len(host.Calls())-before)
				}
				break // fewer calls than n: all points were tried
			}
			if err := steps.Reap(t.Context()); err != nil {
				t.Fatal(err)
			}
			res, err := steps.ReplicateDataset(t.Context(), params)
			if err != nil {
				t.Fatalf("cut off at call %d (late %v), then: %v", n, late, err)
			}
			settled(t, host, res, stamp, fmt.Sprintf("cut off at call %d (late %v)", n, late))
		}
	}
}

// settled checks both ends of a replica that is up to date.
func settled(t *testing.T, host *zfstest.Host, res activities.ReplicateResult, stamp backup.Stamp, when string) {
	t.Helper()
	name := "triplicate-" + string(stamp)
	if got, want := host.Files("hdd/copies/a@" + name)["f"], host.Files("nvme/a@" + name)["f"]; got != want || got == "" {
		t.Errorf("%s: the replica holds %q, the source %q", when, got, want)
	}
	if res.Snapshot != "hdd/copies/a@"+name {
		t.Errorf("%s: the newest is %s", when, res.Snapshot)
	}
	_, marks, err := host.Points(t.Context(), "nvme/a")
	if err != nil {
		t.Fatal(err)
	}
	base := false
	for _, m := range marks {
		base = base || m.GUID == res.GUID
	}
	if !base {
		t.Errorf("%s: no bookmark of the base, only %v", when, marks)
	}
	facts, err := host.Facts(t.Context(), "hdd/copies/a@"+name, "nvme/a@"+name)
	if err != nil || len(facts) != 2 {
		t.Fatalf("%s: facts %v, %v", when, facts, err)
	}
	if facts[1].UserRefs != 0 {
		t.Errorf("%s: a hold was left on the source", when)
	}
	if facts[0].UserRefs != 1 || !facts[0].Properties[backup.PropClass].Local() {
		t.Errorf("%s: the replica's base is held %d times, marked %v; want once, and our mark",
			when, facts[0].UserRefs, facts[0].Properties[backup.PropClass])
	}
	if tags := held(t, host, "hdd/copies/a"); len(tags) != 1 {
		t.Errorf("%s: older snapshots of the replica are held, too: %v", when, tags)
	}
}

// TestReapUnmountsLeftovers: a mount left by a killed daemon would save its
// snapshot from every prune.
func TestReapUnmountsLeftovers(t *testing.T) {
	host := zfstest.New(t, "nvme", "hdd")
	host.MkDataset("nvme/a")
	host.MkDataset("hdd/copies")
	steps := newSteps(host)
	name := "nvme/a@triplicate-" + string(snapshot(t, host, steps, 1))
	facts, err := host.Facts(t.Context(), name)
	if err != nil || len(facts) != 1 {
		t.Fatalf("facts %v, %v", facts, err)
	}
	host.Leave(facts[0].Snapshot)
	if err := steps.Reap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if facts, err = host.Facts(t.Context(), name); err != nil || facts[0].Mounted {
		t.Errorf("%s is still mounted: %v, %v", name, facts, err)
	}
}

func TestFirstReceiveIsResumed(t *testing.T) {
	host := zfstest.New(t, "nvme", "hdd")
	host.MkDataset("nvme/a")
	host.MkDataset("hdd/copies")
	steps := newSteps(host)
	stamp := snapshot(t, host, steps, 1)
	host.CutAfter(3)
	params := activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}
	if _, err := steps.ReplicateDataset(t.Context(), params); err == nil {
		t.Fatal("a cut stream passed as success")
	}
	res, err := steps.ReplicateDataset(t.Context(), params)
	if err != nil || res.Kind != string(backup.SendResume) {
		t.Fatalf("kind %s, %v; want resumed", res.Kind, err)
	}
	settled(t, host, res, stamp, "resumed")
}

// TestPruneKeepsTheBaseAndWhatIsNotOurs is traps 2 and 3 in one dataset.
func TestPruneKeepsTheBaseAndWhatIsNotOurs(t *testing.T) {
	host := zfstest.New(t, "nvme", "hdd")
	host.MkDataset("nvme/a")
	host.MkDataset("hdd/copies")
	steps := newSteps(host)
	base := snapshot(t, host, steps, 1)
	if _, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}); err != nil {
		t.Fatal(err)
	}
	if err := host.TakeSnapshots(t.Context(), []string{"nvme/a@triplicate-20200101T000000Z", "nvme/a@mine"}, nil); err != nil {
		t.Fatal(err)
	}
	for hour := 2; hour < 8; hour++ {
		snapshot(t, host, steps, hour)
	}
	res, err := steps.Prune(t.Context(), activities.PruneParams{Scope: activities.PlanHourly})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"mine": true, "triplicate-20200101T000000Z": true, // not ours, whatever the name
		"triplicate-" + string(base):  false, // its bookmark carries the chain
		"triplicate-20261124T050000Z": false, "triplicate-20261124T060000Z": true, "triplicate-20261124T070000Z": true,
	} {
		if got := host.Files("nvme/a@"+name) != nil; got != want {
			t.Errorf("nvme/a@%s there = %v, want %v (%+v)", name, got, want, res)
		}
	}
	got, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"})
	if err != nil || got.Kind != string(backup.SendIncremental) {
		t.Errorf("after the base was pruned: kind %s, %v; want incremental, from the bookmark", got.Kind, err)
	}
}

func TestNamesFromOutsideAreRefused(t *testing.T) {
	host := zfstest.New(t, "nvme", "hdd")
	host.MkDataset("nvme/a")
	host.MkDataset("nvme/secret")
	steps := newSteps(host)
	if _, err := steps.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "a", Dataset: "nvme/secret"}); err == nil {
		t.Error("a dataset outside the replica was sent")
	}
	res, err := steps.TakeSnapshots(t.Context(), activities.TakeSnapshotsParams{
		Pool: "nvme", Datasets: []string{"nvme/secret", "nvme/a@x -r"}, Stamp: "20261124T010000Z", Run: "r",
	})
	if err != nil || res.Taken != 0 || len(res.Items) != 2 {
		t.Errorf("TakeSnapshots = %+v, %v; want both refused", res, err)
	}
	if len(host.Calls()) != 0 {
		t.Errorf("something was changed: %v", host.Calls())
	}
}
