package activities_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

var twoPools = []backup.Row{
	{Dataset: "nvme/a", Frequency: hourly, Keep: backup.Keep{Hourly: 2}},
	{Dataset: "nvme/b", Frequency: hourly, Keep: backup.Keep{Hourly: 2}},
	{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 2}},
}

var copyOfA = backup.Replica{Name: "a", Source: "nvme/a", Target: "hdd/copies/a"}

// hanging does not answer for a pool until the caller gives up, as a command on a
// hung pool.
type hanging struct {
	*zfstest.Host
	pool string
}

func (h hanging) Datasets(ctx context.Context, roots ...string) ([]backup.Dataset, error) {
	for _, r := range roots {
		if backup.PoolOf(r) == h.pool {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	return h.Host.Datasets(ctx, roots...)
}

func readPlan(t testing.TB, steps *activities.Pools, workflow string) activities.Plan {
	t.Helper()
	plan, err := steps.ReadPlan(t.Context(), activities.ReadPlanParams{Workflow: workflow, Started: now})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestPoolInTroubleDoesNotStopTheOthers: one zfs command over two pools fails as a
// whole.
func TestPoolInTroubleDoesNotStopTheOthers(t *testing.T) {
	host := hostOf(t, "nvme/a", "nvme/b", "hdd/data")
	steps := stepsOf(host, twoPools...)
	revive := host.Suspend("hdd")
	for workflow, want := range map[string]struct {
		groups []activities.SnapshotSet
		failed map[string]backup.Outcome
	}{
		activities.PlanHourly:   {[]activities.SnapshotSet{{Pool: "nvme", Datasets: []string{"nvme/a", "nvme/b"}}}, map[string]backup.Outcome{}},
		activities.PlanNightly:  {nil, map[string]backup.Outcome{"hdd/data": backup.Failed}},
		activities.PlanSnapshot: {[]activities.SnapshotSet{{Pool: "nvme", Datasets: []string{"nvme/a", "nvme/b"}}}, map[string]backup.Outcome{"hdd/data": backup.Failed}},
	} {
		plan := readPlan(t, steps, workflow)
		if diff := cmp.Diff(want.groups, plan.Groups); diff != "" {
			t.Errorf("%s (-want +got):\n%s", workflow, diff)
		}
		if diff := cmp.Diff(want.failed, said(plan.Items)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", workflow, diff)
		}
		if len(plan.Items) > 0 && (!strings.Contains(plan.Items[0].Detail, "suspended") || !plan.Stages[0].Configured) {
			t.Errorf("%s: %+v, stages %+v; want the reason, and a stage to report it", workflow, plan.Items, plan.Stages)
		}
	}
	w, err := steps.Look(t.Context())
	if err != nil || !errors.Is(w.Failed["hdd"], backup.ErrSuspended) || len(w.Coverage().Datasets) != 3 {
		t.Errorf("look: %v, failed %v, %d datasets; want nvme's three and why there are no more", err, w.Failed, len(w.Coverage().Datasets))
	}
	texts := ""
	for _, f := range steps.Check(t.Context()) {
		texts += f.Text + "\n"
	}
	if !strings.Contains(texts, "cannot list pool hdd") || strings.Contains(texts, "hdd/data is in the config but not") {
		t.Errorf("check says:\n%s", texts)
	}
	host.Suspend("nvme")
	if _, err := steps.Look(t.Context()); !errors.Is(err, backup.ErrSuspended) {
		t.Errorf("both pools suspended: %v", err)
	}
	revive()
}

// TestPruneWithAPoolInTrouble: what needs nothing of the pool is pruned. Of what
// has a replica there nobody knows what the replica still needs.
func TestPruneWithAPoolInTrouble(t *testing.T) {
	host := hostOf(t, "nvme/a", "nvme/b", "hdd/data", "hdd/copies")
	steps := stepsOf(host, twoPools...)
	steps.Policy.Replicas = []backup.Replica{copyOfA}
	for _, d := range []string{"nvme/a", "nvme/b"} {
		grow(t, host, d, 5, time.Hour)
	}
	revive := host.Suspend("hdd")
	got := said(prune(t, steps, activities.PlanHourly).Items)
	if a, b := count(t, host, "nvme/a"), count(t, host, "nvme/b"); a != 5 || b != 2 {
		t.Errorf("%d and %d snapshots are left, want 5 and 2", a, b)
	}
	if diff := cmp.Diff(map[string]backup.Outcome{"nvme/a": backup.Warning}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := said(prune(t, steps, activities.PlanNightly).Items)["hdd"]; got != backup.Failed {
		t.Errorf("the nightly prune says %q of hdd, want failed", got)
	}
	revive()
	if prune(t, steps, activities.PlanHourly); count(t, host, "nvme/a") != 2 {
		t.Errorf("%d snapshots are left after all, want 2", count(t, host, "nvme/a"))
	}
}

// TestHungPoolCostsNobodyTheStamp: the others' snapshots are still in time.
func TestHungPoolCostsNobodyTheStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := hostOf(t, "nvme/a", "nvme/b", "hdd/data")
		steps := stepsOf(hanging{host, "hdd"}, twoPools...)
		start := time.Now()
		plan := readPlan(t, steps, activities.PlanSnapshot)
		if took := time.Since(start); took >= backup.StampTolerance {
			t.Errorf("the plan took %s", took)
		}
		if len(plan.Groups) != 1 || said(plan.Items)["hdd/data"] != backup.Failed {
			t.Errorf("groups %+v, items %+v", plan.Groups, plan.Items)
		}
	})
}

// TestMissingIsFailed: a pool that is not imported, and a dataset that is gone, are
// no reason to be content.
func TestMissingIsFailed(t *testing.T) {
	for name, c := range map[string]struct {
		gone     string
		workflow string
		failed   map[string]backup.Outcome
		reason   string
	}{
		"pool, hourly":           {"nvme", activities.PlanHourly, map[string]backup.Outcome{"nvme/a": backup.Failed, "nvme/b": backup.Failed}, "not imported"},
		"pool, nightly":          {"nvme", activities.PlanNightly, map[string]backup.Outcome{"nvme/a": backup.Failed, "nvme/b": backup.Failed, "nvme/c": backup.Failed}, "not imported"},
		"dataset, hourly":        {"nvme/b", activities.PlanHourly, map[string]backup.Outcome{"nvme/b": backup.Failed}, "not on this machine"},
		"another's, hourly":      {"hdd/data", activities.PlanHourly, map[string]backup.Outcome{}, "not on this machine"},
		"dataset, nightly":       {"hdd/data", activities.PlanNightly, map[string]backup.Outcome{"hdd/data": backup.Failed}, "not on this machine"},
		"replica's source":       {"nvme/c", activities.PlanNightly, map[string]backup.Outcome{"nvme/c": backup.Failed}, "not on this machine"},
		"no pool, without a row": {"tank", activities.PlanNightly, map[string]backup.Outcome{}, "not imported"},
	} {
		t.Run(name, func(t *testing.T) {
			host := zfstest.New(t, "nvme", "hdd", "tank")
			for _, d := range []string{"nvme/a", "nvme/b", "nvme/c", "hdd/data"} {
				host.MkDataset(d)
			}
			steps := stepsOf(host, twoPools...)
			steps.Policy.Replicas = []backup.Replica{{Name: "c", Source: "nvme/c", Target: "tank/c"}}
			host.Destroy(c.gone)
			plan := readPlan(t, steps, c.workflow)
			if diff := cmp.Diff(c.failed, said(plan.Items)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			text := strings.Join(plan.Notes, "\n")
			for _, it := range plan.Items {
				text += "\n" + it.Detail
			}
			if !strings.Contains(text, c.reason) {
				t.Errorf("%q: want %q", text, c.reason)
			}
		})
	}
}

// TestNoPoolAtAllIsAskedAgain: the daemon may be up before the pools are.
func TestNoPoolAtAllIsAskedAgain(t *testing.T) {
	steps := stepsOf(zfstest.New(t), twoPools...)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(steps.ReadPlan)
	_, err := env.ExecuteActivity(steps.ReadPlan, activities.ReadPlanParams{Workflow: activities.PlanHourly, Started: now})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.NonRetryable() || !strings.Contains(app.Message(), "no pool of the config is imported (nvme, hdd)") {
		t.Errorf("%v: want an error that is tried again", err)
	}
	// Nobody tries the command again, nor a run that has tried for minutes.
	if plan := readPlan(t, steps, activities.PlanHourly); len(plan.Items) != 2 {
		t.Errorf("items %+v, want both hourly rows failed", plan.Items)
	}
}
