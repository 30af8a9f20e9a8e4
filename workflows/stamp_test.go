package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/workflows"
)

// TestStampIsFixedAnew: the stamp was fixed in history, the host was off, and its
// clock has moved on when the step runs at last.
func TestStampIsFixedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		off   int // calls before which the host was off
		calls int
		want  backup.Outcome
	}{
		"never off":  {0, 1, backup.OK},
		"off once":   {1, 2, backup.OK},
		"always off": {99, 4, backup.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			start := vienna(t, "2026-11-25 15:00:00")
			host := newPools(t)
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			env.SetStartTime(start.Add(2 * time.Second))
			scheduled(t, env, start)
			host.SetNow(env.Now)
			workflows.Register(env)
			steps := func(off time.Duration) *activities.Pools {
				now := func() time.Time { return env.Now().Add(off) }
				return &activities.Pools{ZFS: host, Policy: smith(t), Locks: activities.NewLocks(), Now: now}
			}
			env.RegisterActivity(steps(0).ReadPlan)
			env.RegisterActivity(steps(0).Prune)
			var stamps []backup.Stamp
			env.RegisterActivityWithOptions(func(ctx context.Context, p activities.TakeSnapshotsParams) (activities.TakeSnapshotsResult, error) {
				stamps = append(stamps, p.Stamp)
				if len(stamps) <= c.off {
					return steps(6*time.Hour).TakeSnapshots(ctx, p)
				}
				return steps(0).TakeSnapshots(ctx, p)
			}, activity.RegisterOptions{Name: "TakeSnapshots"})
			env.ExecuteWorkflow(workflows.Hourly, workflows.HourlyParams{})
			r := report(t, env)
			if len(stamps) != c.calls || r.Outcome != c.want {
				t.Errorf("%d calls, %s; want %d, %s", len(stamps), r.Outcome, c.calls, c.want)
			}
			if stamps[0] != backup.StampOf(start) || slices.Contains(stamps[1:], stamps[0]) {
				t.Errorf("stamps %v; want the scheduled one, then others", stamps)
			}
			last := "nvme/personal@" + backup.SnapshotName("triplicate", stamps[len(stamps)-1])
			if got := host.Files(last) != nil; got != (c.want == backup.OK) {
				t.Errorf("%s there = %v", last, got)
			}
		})
	}
}
