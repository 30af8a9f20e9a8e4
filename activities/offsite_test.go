package activities_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/offsite"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
	"triplicate/internal/zfs/zfstest"
)

// away is a pool, a bucket in Glacier's manner, and the steps between them.
type away struct {
	*activities.Copies
	t      *testing.T
	host   *zfstest.Host
	server *s3test.Server
	bucket *s3.Bucket
	now    time.Time
	runs   int
}

func newAway(t *testing.T) *away {
	t.Helper()
	a := &away{t: t, host: zfstest.New(t, "nvme", "hdd"), now: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)}
	a.host.SetNow(func() time.Time { return a.now })
	for _, d := range []string{"nvme/personal", "hdd/data", "hdd/backups-data", "hdd/backups-vm", "hdd/attic"} {
		a.host.MkDataset(d)
	}
	a.host.MkVolume("hdd/disk")
	var err error
	a.server, err = s3test.New(s3test.Options{
		Keys: []s3test.Key{s3test.Admin("id", "secret")}, Now: func() time.Time { return a.now }, MinPart: -1,
	})
	must(t, err)
	must(t, a.server.CreateBucket("smith-offsite"))
	must(t, a.server.EnableVersioning("smith-offsite"))
	web := httptest.NewServer(a.server)
	t.Cleanup(web.Close)
	a.bucket, err = s3.Open(s3.Config{
		Bucket: "smith-offsite", Region: "us-east-1", Endpoint: web.URL, Now: func() time.Time { return a.now }, Tries: 1,
		Credentials: func() (string, string, string, error) { return "id", "secret", "", nil },
	})
	must(t, err)
	t.Cleanup(a.bucket.Close)
	policy := backup.Policy{
		Host: "smith", Prefix: "triplicate", Zone: time.UTC,
		Rows: []backup.Row{
			{Dataset: "nvme/personal", Frequency: backup.Frequency{Kind: backup.EachHour}, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "hdd/data", Frequency: backup.Frequency{Kind: backup.EachDay}, Keep: backup.Keep{Daily: 3}},
			{Dataset: "hdd/disk", Frequency: backup.Frequency{Kind: backup.EachDay}, Keep: backup.Keep{Daily: 3}},
			{Dataset: "hdd/backups-vm", Frequency: backup.Frequency{Kind: backup.Disabled}},
		},
		Replicas: []backup.Replica{{Name: "personal", Source: "nvme/personal", Target: "hdd/backups-data/personal"}},
		Proxmox:  &backup.ProxmoxPolicy{Dataset: "hdd/backups-vm"},
		Offsite:  []backup.OffsitePolicy{{Name: "aws", Pool: "hdd", Bucket: "smith-offsite", Prefix: "smith/hdd", CapUSD: 5}},
	}
	pools := &activities.Pools{ZFS: a.host, Policy: policy, Locks: activities.NewLocks(), Now: func() time.Time { return a.now }}
	cache := t.TempDir()
	a.Copies = &activities.Copies{Pools: pools, Offsite: &activities.Offsite{Pools: pools, Vault: func(string) (activities.Vault, error) {
		return offsite.New(offsite.Config{Bucket: a.bucket, Host: "smith", Prefix: "smith/hdd", Class: "GLACIER", Dir: cache, Workers: 4,
			Now: func() time.Time { return a.now }}), nil
	}}}
	return a
}

// night snapshots the rows' datasets and moves the clock to the next day.
func (a *away) night(datasets ...string) {
	a.t.Helper()
	a.now = a.now.Add(24 * time.Hour)
	name := backup.SnapshotName("triplicate", backup.StampOf(a.now))
	for _, d := range datasets {
		must(a.t, a.host.TakeSnapshots(a.t.Context(), []string{d + "@" + name}, map[string]string{backup.PropClass: backup.ClassPeriodic}))
	}
	a.now = a.now.Add(time.Minute)
}

// copy runs the step for one dataset.
func (a *away) copy(dataset string) (activities.CopyOffsiteResult, error) {
	a.runs++
	return a.Offsite.CopyOffsite(a.t.Context(), activities.CopyOffsiteParams{
		Target: "aws", Dataset: dataset, Run: fmt.Sprint(a.runs), Stamp: backup.StampOf(a.now),
	})
}

// allowed copies a dataset after the operator's yes.
func (a *away) allowed(dataset string) activities.CopyOffsiteResult {
	a.t.Helper()
	res, err := a.copy(dataset)
	must(a.t, err)
	if res.Outcome == backup.NeedsApproval {
		held, err := a.Offsite.HeldBack(a.t.Context())
		must(a.t, err)
		for _, h := range held {
			if h.Dataset == dataset {
				must(a.t, a.Offsite.AllowOffsite(a.t.Context(), h))
			}
		}
		res, err = a.copy(dataset)
		must(a.t, err)
	}
	return res
}

// versions counts the versions of each key.
func (a *away) versions() map[string]int {
	a.t.Helper()
	m := map[string]int{}
	must(a.t, a.bucket.Versions(a.t.Context(), "", func(o backup.Object) error { m[o.Key]++; return nil }))
	return m
}

// points lists a dataset's snapshots and bookmarks, and its held ones.
func (a *away) points(dataset string) (snaps, marks, held []string) {
	a.t.Helper()
	s, m, err := a.host.Points(a.t.Context(), dataset)
	must(a.t, err)
	for _, x := range s {
		if x.Dataset != dataset {
			continue
		}
		snaps = append(snaps, x.Name)
		holds, err := a.host.Holds(a.t.Context(), x.String())
		must(a.t, err)
		if len(holds) > 0 {
			held = append(held, x.Name)
		}
	}
	for _, x := range m {
		if x.Dataset == dataset {
			marks = append(marks, x.Name)
		}
	}
	return snaps, marks, held
}

func TestOffsiteCoversTheWholePool(t *testing.T) {
	a := newAway(t)
	plan, err := a.Offsite.PlanOffsite(t.Context(), activities.PlanOffsiteParams{Target: "aws"})
	must(t, err)
	want := []string{"hdd", "hdd/attic", "hdd/backups-data", "hdd/backups-vm", "hdd/data"}
	if !slices.Equal(plan.Datasets, want) || plan.Idle != "hdd/backups-vm" {
		t.Errorf("plan %+v, want %v", plan, want)
	}
	if len(plan.Items) != 1 || plan.Items[0].Name != "hdd/disk" || plan.Items[0].Outcome != backup.NotCovered {
		t.Errorf("items %v, want the volume as not covered", plan.Items)
	}
	if _, err := a.Offsite.PlanOffsite(t.Context(), activities.PlanOffsiteParams{Target: "../x"}); !strings.Contains(fmt.Sprint(err), "not in the config") {
		t.Errorf("a made-up target: %v", err)
	}
	if _, err := a.copy("nvme/personal"); err == nil {
		t.Error("a dataset of another pool was copied")
	}
}

func TestFirstCopyWaitsForAYes(t *testing.T) {
	a := newAway(t)
	a.host.WriteFile("hdd/data", "film", "once upon a time")
	a.night("hdd/data")
	res, err := a.copy("hdd/data")
	must(t, err)
	if res.Outcome != backup.NeedsApproval || !strings.Contains(res.Detail, "first upload: 1 objects") || len(a.versions()) != 0 {
		t.Fatalf("first try %+v, bucket %v; want it held and nothing uploaded", res, a.versions())
	}
	if _, _, held := a.points("hdd/data"); len(held) != 0 {
		t.Errorf("what waits pins %v", held)
	}
	res = a.allowed("hdd/data")
	if res.Outcome != backup.OK || res.Objects != 1 || a.versions()["smith/hdd/data/hdd/data/@/film"] != 1 {
		t.Errorf("allowed: %+v, bucket %v", res, a.versions())
	}
	snaps, marks, held := a.points("hdd/data")
	if len(marks) != 1 || len(held) != 0 || len(snaps) != 1 {
		t.Errorf("left snapshots %v, bookmarks %v, holds %v; want one bookmark and no hold", snaps, marks, held)
	}
	if got := backup.TargetValue(a.host.Property("hdd/data", backup.PropAck), "aws"); got != "" {
		t.Errorf("the yes was not used up: %q", got)
	}
}

func TestUnchangedCostsNoRequest(t *testing.T) {
	a := newAway(t)
	a.host.WriteFile("hdd/data", "film", "x")
	a.night("hdd/data")
	a.allowed("hdd/data")
	a.night("hdd/data")
	before := a.bucket.Requests()
	res, err := a.copy("hdd/data")
	must(t, err)
	if n := a.bucket.Requests() - before; n != 0 || res.Outcome != backup.OK || !strings.HasPrefix(res.Detail, "unchanged") {
		t.Errorf("%d requests, %+v; want none", n, res)
	}
	all, err := a.Status(t.Context())
	must(t, err)
	for _, d := range all {
		if d.Dataset == "hdd/data" && (d.Offsite.State != backup.CopyFresh || d.Offsite.Age > time.Hour) {
			t.Errorf("offsite copy of an unchanged dataset: %+v, want as fresh as its newest snapshot", d.Offsite)
		}
		if d.Dataset == "hdd/disk" && d.Offsite.State != backup.CopyUncovered {
			t.Errorf("volume: %+v, want not covered", d.Offsite)
		}
	}
}

func TestOnlyTheLastTakenSnapshotStays(t *testing.T) {
	for dataset, keeps := range map[string]int{"hdd/attic": 1, "hdd/backups-vm": 0} {
		t.Run(dataset, func(t *testing.T) {
			a := newAway(t)
			for n := range 3 {
				a.host.WriteFile(dataset, fmt.Sprint(n), "x")
				a.now = a.now.Add(24 * time.Hour)
				if res := a.allowed(dataset); res.Outcome != backup.OK {
					t.Fatalf("%+v", res)
				}
			}
			snaps, marks, held := a.points(dataset)
			if len(snaps) != keeps || len(marks) != 1 || len(held) != 0 {
				t.Errorf("left snapshots %v, bookmarks %v, holds %v; want %d, 1, 0", snaps, marks, held, keeps)
			}
		})
	}
}

func TestMassChangeIsHeldAndTheCopyStays(t *testing.T) {
	a := newAway(t)
	for i := range 100 {
		a.host.WriteFile("hdd/data", fmt.Sprintf("f%d", i), strings.Repeat("x", 100))
	}
	a.night("hdd/data")
	a.allowed("hdd/data")
	before := len(a.versions())
	for i := range 50 {
		a.host.WriteFile("hdd/data", fmt.Sprintf("f%d", i), strings.Repeat("y", 90))
	}
	a.night("hdd/data")
	res, err := a.copy("hdd/data")
	must(t, err)
	if res.Outcome != backup.NeedsApproval || !strings.Contains(res.Detail, "more than 30 %") || len(a.versions()) != before {
		t.Errorf("half of all files changed: %+v", res)
	}
}

// TestCopyConvergesFromEveryCut cuts the step at every changing call to ZFS, before
// and after it, and runs it again: one version of each object, no hold, one bookmark.
func TestCopyConvergesFromEveryCut(t *testing.T) {
	for _, late := range []bool{false, true} {
		for cut := 1; ; cut++ {
			a := newAway(t)
			a.host.WriteFile("hdd/attic", "one", "1")
			a.allowed("hdd/attic")
			a.host.WriteFile("hdd/attic", "two", "2")
			a.now = a.now.Add(24 * time.Hour)
			calls := len(a.host.Calls())
			a.host.FailCall(cut, late, errors.New("killed"))
			if _, err := a.copy("hdd/attic"); err == nil && len(a.host.Calls())-calls < cut {
				break // more than there are
			}
			a.host.FailCall(0, false, nil)
			must(t, a.Pools.Reap(t.Context())) // as the daemon does when it comes back
			a.now = a.now.Add(time.Hour)
			res, err := a.copy("hdd/attic")
			must(t, err)
			snaps, marks, held := a.points("hdd/attic")
			if strings.Contains(a.host.Calls()[calls+cut-1], "mount ") {
				snaps = snaps[:1] // the fake still counts a user of the older one: it stays for the next time
			}
			v := a.versions()
			if res.Outcome != backup.OK || len(marks) != 1 || len(held) != 0 || len(snaps) != 1 ||
				v["smith/hdd/data/hdd/attic/@/one"] != 1 || v["smith/hdd/data/hdd/attic/@/two"] != 1 {
				t.Errorf("cut %d, late %v: %+v; snapshots %v, bookmarks %v, holds %v, objects %v", cut, late, res, snaps, marks, held, v)
			}
			if cut > 40 {
				t.Fatal("it does not end")
			}
		}
	}
}
