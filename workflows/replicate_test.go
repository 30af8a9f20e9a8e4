package workflows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
	"triplicate/workflows"
)

// stubborn takes no stream to one dataset.
type stubborn struct {
	*zfstest.Host
	target string
}

func (s stubborn) Transfer(ctx context.Context, t backup.Transfer, progress func(int64)) error {
	if t.Target == s.target {
		return backup.ErrNoSpace
	}
	return s.Host.Transfer(ctx, t, progress)
}

// replicated runs a replica and says how it ended, and with how many steps beside
// the look at both ends.
func replicated(t *testing.T, zfs activities.ZFS, policy backup.Policy, replica string) (sum workflows.ReplicateSummary, steps int, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	workflows.Register(env)
	(&activities.Pools{ZFS: zfs, Policy: policy, Locks: activities.NewLocks(), Now: env.Now}).Register(env)
	env.SetOnActivityStartedListener(func(*activity.Info, context.Context, converter.EncodedValues) { steps++ })
	env.ExecuteWorkflow(workflows.Replicate, workflows.ReplicateParams{Replica: replica, Host: "smith"})
	err = env.GetWorkflowError()
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.HasDetails() {
		if err := app.Details(&sum); err != nil {
			t.Fatal(err)
		}
		return sum, steps - 1, err
	}
	if err == nil {
		err = env.GetWorkflowResult(&sum)
	}
	return sum, steps - 1, err
}

// point snapshots datasets, with something new in each.
func point(t *testing.T, host *zfstest.Host, stamp string, datasets ...string) {
	t.Helper()
	var names []string
	for _, d := range datasets {
		host.WriteFile(d, "f", stamp)
		names = append(names, d+"@triplicate-"+stamp)
	}
	if err := host.TakeSnapshots(t.Context(), names, map[string]string{backup.PropClass: backup.ClassPeriodic}); err != nil {
		t.Fatal(err)
	}
}

func outcomes(items []activities.Item) map[string]backup.Outcome {
	m := map[string]backup.Outcome{}
	for _, it := range items {
		m[it.Name] = it.Outcome
	}
	return m
}

// TestFailedParentSkipsItsNewChildren, and no longer once it is copied.
func TestFailedParentSkipsItsNewChildren(t *testing.T) {
	host := newPools(t)
	point(t, host, "20261125T003000Z", "nvme/personal", "nvme/personal/photos")
	sum, _, err := replicated(t, stubborn{host, "hdd/backups-data/personal"}, smith(t), "personal")
	got := outcomes(sum.Items)
	if err == nil || sum.Datasets != 0 || got["nvme/personal"] != backup.Failed || got["nvme/personal/photos"] != backup.Skipped {
		t.Errorf("%+v, %v; want the parent failed, the child skipped", sum, err)
	}
	sum, _, err = replicated(t, host, smith(t), "personal")
	if err != nil || sum.Datasets != 2 || len(sum.Items) > 0 {
		t.Errorf("then %+v, %v; want both copied", sum, err)
	}
}

// TestUnchangedReplicaTakesNoStep and says so in numbers.
func TestUnchangedReplicaTakesNoStep(t *testing.T) {
	host := newPools(t)
	point(t, host, "20261125T003000Z", "nvme/personal", "nvme/personal/photos")
	for _, want := range []int{2, 0} {
		sum, steps, err := replicated(t, host, smith(t), "personal")
		if err != nil || steps != want || sum.Outcome != backup.OK || !strings.HasPrefix(sum.Detail, "2 of 2 datasets up to date") {
			t.Errorf("%+v, %v, %d steps; want ok, 2 of 2, %d steps", sum, err, steps, want)
		}
	}
	point(t, host, "20261125T013000Z", "nvme/personal/photos")
	if sum, steps, err := replicated(t, host, smith(t), "personal"); err != nil || steps != 1 || sum.Datasets != 2 {
		t.Errorf("one changed: %+v, %v, %d steps", sum, err, steps)
	}
}

// TestReplicaOfNothingIsNotOK.
func TestReplicaOfNothingIsNotOK(t *testing.T) {
	policy := smith(t)
	policy.Rows[0].Exclude = []string{"nvme/personal"}
	sum, _, err := replicated(t, newPools(t), policy, "personal")
	if err == nil || sum.Outcome != backup.Failed || sum.Datasets != 0 || outcomes(sum.Items)["nvme/personal"] != backup.Failed {
		t.Errorf("%+v, %v; want a failure: nothing is copied", sum, err)
	}
}
