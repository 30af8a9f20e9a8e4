package workflows_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
	"triplicate/workflows"
)

// smith is the user's ZFS table.
func smith(t testing.TB) backup.Policy {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	hourly := backup.Frequency{Kind: backup.EachHour}
	daily := func(h, m int) backup.Frequency {
		return backup.Frequency{Kind: backup.EachDay, At: backup.TimeOfDay{Hour: h, Minute: m}}
	}
	return backup.Policy{
		Host: "smith", Prefix: "triplicate", Zone: zone,
		Rows: []backup.Row{
			{Dataset: "nvme/personal", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "nvme/data", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "hdd/vm", Frequency: daily(1, 30), Keep: backup.Keep{Daily: 7}},
			{Dataset: "hdd/backups-data", Frequency: daily(2, 0), Keep: backup.Keep{Daily: 3}},
		},
		Replicas: []backup.Replica{
			{Name: "personal", Source: "nvme/personal", Target: "hdd/backups-data/personal", At: backup.TimeOfDay{Hour: 2, Minute: 30}},
			{Name: "data", Source: "nvme/data", Target: "hdd/backups-data/data", At: backup.TimeOfDay{Hour: 2, Minute: 30}},
		},
		LatestEnd: map[backup.Stage]backup.TimeOfDay{backup.StageReplicate: {Hour: 8}},
	}
}

// newPools are smith's datasets on the fake.
func newPools(t testing.TB) *zfstest.Host {
	t.Helper()
	h := zfstest.New(t, "nvme", "hdd")
	for _, d := range []string{"nvme/personal", "nvme/personal/photos", "nvme/data", "hdd/vm", "hdd/backups-data"} {
		h.MkDataset(d)
	}
	h.WriteFile("nvme/personal", "diary", "dear diary")
	return h
}

// newEnv is a test environment with the real workflows and the real activities
// over the fake, at a wall-clock time.
func newEnv(t testing.TB, host *zfstest.Host, now time.Time) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(now)
	env.SetTestTimeout(time.Minute)
	host.SetNow(env.Now)
	workflows.Register(env)
	pools := &activities.Pools{ZFS: host, Policy: smith(t), Locks: activities.NewLocks(), Now: env.Now}
	pools.Register(env)
	return env
}

// scheduled tells the workflow that a schedule started it for an instant.
func scheduled(t testing.TB, env *testsuite.TestWorkflowEnvironment, at time.Time) {
	t.Helper()
	key := temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")
	if err := env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(key.ValueSet(at))); err != nil {
		t.Fatal(err)
	}
}

func vienna(t testing.TB, local string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04:05", local, smith(t).Zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// report is a finished run's report, from its result or its failure.
func report(t testing.TB, env *testsuite.TestWorkflowEnvironment) workflows.Report {
	t.Helper()
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	var r workflows.Report
	err := env.GetWorkflowError()
	var failed *temporal.ApplicationError
	switch {
	case err == nil:
		if err := env.GetWorkflowResult(&r); err != nil {
			t.Fatal(err)
		}
	case errors.As(err, &failed) && failed.HasDetails():
		if err := failed.Details(&r); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatal(err)
	}
	return r
}

func stage(r workflows.Report, name string) workflows.StageReport {
	for _, s := range r.Stages {
		if s.Stage == name {
			return s
		}
	}
	return workflows.StageReport{}
}

func TestScheduledNight(t *testing.T) {
	host := newPools(t)
	start := vienna(t, "2026-11-25 01:30:00")
	env := newEnv(t, host, start.Add(2*time.Second))
	scheduled(t, env, start)
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	r := report(t, env)
	if r.Outcome != backup.OK || r.Night != "2026-11-25" || r.Run != "scheduled" {
		t.Errorf("report = %+v, want an ok scheduled night of 2026-11-25", r)
	}
	for name, want := range map[string]string{"snapshot": "01:30", "replicate": "02:30"} {
		if got := stage(r, name).Started.In(smith(t).Zone).Format("15:04"); got != want {
			t.Errorf("%s started at %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"proxmox", "offsite"} {
		if got := stage(r, name).Outcome; got != backup.NotConfigured {
			t.Errorf("%s: outcome %q, want not configured", name, got)
		}
	}
	for snap, want := range map[string]bool{
		"hdd/vm@triplicate-20261125T003000Z":                           true,
		"hdd/backups-data@triplicate-20261125T010000Z":                 true, // its own 02:00
		"hdd/backups-data/personal@triplicate-20261125T003000Z":        true, // received
		"hdd/backups-data/personal@triplicate-20261125T010000Z":        false,
		"hdd/backups-data/personal/photos@triplicate-20261125T003000Z": true,
	} {
		if got := host.Files(snap) != nil; got != want {
			t.Errorf("%s there = %v, want %v", snap, got, want)
		}
	}
}

func TestNightByHandWaitsForNothing(t *testing.T) {
	host := newPools(t)
	now := vienna(t, "2026-11-25 15:12:30")
	env := newEnv(t, host, now)
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	r := report(t, env)
	if took := r.Ended.Sub(r.Started); r.Outcome != backup.OK || r.Run != "manual" || took > time.Minute {
		t.Errorf("outcome %s, run %s, took %s; want ok, manual, at once", r.Outcome, r.Run, took)
	}
	if host.Files("hdd/vm@triplicate-20261125T141230Z") == nil {
		t.Error("no snapshot with the stamp of the start")
	}
}

func TestBackfilledNightRunsNowAndSaysSo(t *testing.T) {
	host := newPools(t)
	env := newEnv(t, host, vienna(t, "2026-11-25 15:00:00"))
	scheduled(t, env, vienna(t, "2026-11-20 01:30:00"))
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	r := report(t, env)
	if r.Run != "backfill" || len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "nothing is back-dated") {
		t.Errorf("run %s, notes %q", r.Run, r.Notes)
	}
	if host.Files("hdd/vm@triplicate-20261125T140000Z") == nil || host.Files("hdd/vm@triplicate-20261120T003000Z") != nil {
		t.Error("want a snapshot of now and none of then")
	}
}

func TestSecondRunOfANightIsSkipped(t *testing.T) {
	host := newPools(t)
	start := vienna(t, "2026-11-25 01:30:00")
	env := newEnv(t, host, start)
	scheduled(t, env, start)
	env.OnWorkflow(workflows.Claim, mock.Anything, workflows.ClaimParams{Night: "2026-11-25"}).
		Return(temporal.NewApplicationError("stands for another run's claim", "x"))
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	if env.GetWorkflowError() == nil {
		t.Error("a night that could not claim its date went on")
	}
	if host.Files("hdd/vm@triplicate-20261125T003000Z") != nil {
		t.Error("it took snapshots")
	}
}

func TestFailedPartIsAnOutcome(t *testing.T) {
	host := newPools(t)
	env := newEnv(t, host, vienna(t, "2026-11-25 15:00:00"))
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	report(t, env)
	// Somebody writes into a replica, and snapshots it: diverged.
	host.WriteFile("hdd/backups-data/data", "mine", "x")
	if err := host.TakeSnapshots(t.Context(), []string{"hdd/backups-data/data@mine"}, nil); err != nil {
		t.Fatal(err)
	}
	host.WriteFile("nvme/data", "f", "new")
	host.WriteFile("nvme/personal", "f", "new")
	env = newEnv(t, host, vienna(t, "2026-11-26 15:00:00"))
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	r := report(t, env)
	var failed *temporal.ApplicationError
	if err := env.GetWorkflowError(); !errors.As(err, &failed) || failed.Type() != workflows.FailedNight {
		t.Fatalf("error %v, want %s", err, workflows.FailedNight)
	}
	if first, rest, _ := strings.Cut(failed.Message(), "\n"); !strings.Contains(first, "data") || !strings.Contains(rest, "triplicate status") {
		t.Errorf("message %q: want the diagnosis, then what to do", failed.Message())
	}
	if stage(r, "snapshot").Outcome != backup.OK || stage(r, "prune").Outcome == "" {
		t.Errorf("the other stages did not go on: %+v", r.Stages)
	}
	if host.Files("hdd/backups-data/personal@triplicate-20261126T140000Z") == nil {
		t.Error("the other replica was not brought up to date")
	}
	if host.Files("hdd/backups-data/data@mine") == nil {
		t.Error("the replica was rolled back")
	}
}

func TestStragglerDoesNotHoldTheNightUp(t *testing.T) {
	host := newPools(t)
	start := vienna(t, "2026-11-25 01:30:00")
	env := newEnv(t, host, start)
	scheduled(t, env, start)
	env.OnWorkflow(workflows.Replicate, mock.Anything, mock.Anything).After(20*time.Hour).
		Return(workflows.ReplicateSummary{Outcome: backup.OK}, nil)
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	r := report(t, env)
	if got := stage(r, "replicate"); got.Outcome != backup.Warning || got.Ended.In(smith(t).Zone).Format("15:04") != "08:00" {
		t.Errorf("replicate = %+v, want a warning at its latest end, 08:00", got)
	}
	if stage(r, "prune").Outcome == "" {
		t.Error("prune did not run")
	}
}

// TestPlanAndReportStaySmall: 500 datasets, well under Temporal's limits.
func TestPlanAndReportStaySmall(t *testing.T) {
	host := newPools(t)
	for i := range 500 {
		host.MkDataset(fmt.Sprintf("nvme/personal/a-rather-long-dataset-name-%04d", i))
	}
	pools := &activities.Pools{ZFS: host, Policy: smith(t), Locks: activities.NewLocks(), Now: time.Now}
	plan, err := pools.ReadPlan(t.Context(), activities.ReadPlanParams{Workflow: activities.PlanNightly, Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(plan)
	if err != nil || len(data) > 256<<10 {
		t.Errorf("plan: %d bytes, %v; want under 256 KiB", len(data), err)
	}
	env := newEnv(t, host, vienna(t, "2026-11-25 15:00:00"))
	env.ExecuteWorkflow(workflows.Nightly, workflows.NightlyParams{})
	data, err = json.Marshal(report(t, env))
	if err != nil || len(data) > 256<<10 {
		t.Errorf("report: %d bytes, %v; want under 256 KiB", len(data), err)
	}
	t.Logf("plan and report of 500 datasets: %d bytes", len(data))
}
