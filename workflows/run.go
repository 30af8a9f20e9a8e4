package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// pools names the activities that touch ZFS; the worker has the real one.
var pools *activities.Pools

// QueryReport returns the Report so far.
const QueryReport = "report"

// run is what Nightly and Hourly share: the plan, the report as it grows, and
// the places where both are shown.
type run struct {
	plan   activities.Plan
	report Report
	mark   string            // on every snapshot this run takes, and in the notes of every guest's backup
	late   time.Duration     // by which a scheduled run started after its time
	open   []workflow.Future // stages that were still running at their latest end
	tended workflow.Future   // when the datastore has been looked after; nil: not begun
}

// begin reads the plan and opens the report.
func begin(ctx workflow.Context, kind, only string) (*run, error) {
	info := workflow.GetInfo(ctx)
	r := &run{
		report: Report{Workflow: kind, Started: workflow.Now(ctx).UTC()},
		// The first run's ID, so that a retry or continue-as-new knows its own.
		mark: info.FirstRunID,
	}
	options := workflow.QueryHandlerOptions{Description: "the report so far"}
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryReport, func() (Report, error) { return r.report, nil }, options)
	if err != nil {
		return nil, err
	}
	params := activities.ReadPlanParams{Workflow: kind, Started: r.report.Started, OnlyStage: only}
	if at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(attrScheduled); ok {
		params.Scheduled = at.UTC()
	}
	err = workflow.ExecuteActivity(with(ctx, quick, "read the plan"), pools.ReadPlan, params).Get(ctx, &r.plan)
	if err != nil && !temporal.IsCanceledError(err) {
		// A run that could not even begin fails as any other: where people look.
		r.report.Stages = []StageReport{{Stage: "plan"}}
		r.report.Stages[0].add(activities.Item{Name: kind, Outcome: backup.Failed, Detail: reason(err)})
		r.report.Stages[0].settle()
		_, err = r.finish(ctx, failureOf(kind))
	}
	if err != nil {
		return nil, err
	}
	r.report.Host, r.report.Run, r.report.Night = r.plan.Host, string(r.plan.Run), r.plan.Night
	r.report.Notes = r.plan.Notes
	// Stages are pointed at while they run, also by what outlives its stage: the
	// list must never move.
	r.report.Stages = make([]StageReport, 0, len(r.plan.Stages)+4)
	for _, s := range r.plan.Stages {
		r.report.Stages = append(r.report.Stages, StageReport{Stage: string(s.Stage)})
	}
	if len(r.plan.Stages) > 0 && r.plan.Run == activities.Scheduled {
		// A host that was off catches up: its stages get the time they would have had.
		if late := r.report.Started.Sub(r.plan.Stages[0].At); late > backup.StampTolerance && !r.plan.Stages[0].At.IsZero() {
			r.late = late
		}
	}
	updates := []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host)}
	if r.plan.Night != "" {
		updates = append(updates, AttrNight.ValueSet(r.plan.Night))
	}
	r.show(ctx)
	return r, workflow.UpsertTypedSearchAttributes(ctx, updates...)
}

// show puts the report where the Web UI looks.
func (r *run) show(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, r.report.Markdown()) }

// stageReport finds the part of the report for a stage.
func (r *run) stageReport(name string) *StageReport {
	for i := range r.report.Stages {
		if r.report.Stages[i].Stage == name {
			return &r.report.Stages[i]
		}
	}
	r.report.Stages = append(r.report.Stages, StageReport{Stage: name})
	return &r.report.Stages[len(r.report.Stages)-1]
}

// wait sleeps until at, if that is still to come.
func (r *run) wait(ctx workflow.Context, at time.Time, summary string) error {
	d := at.Sub(workflow.Now(ctx))
	if at.IsZero() || d <= 0 {
		return nil
	}
	return workflow.NewTimerWithOptions(ctx, d, workflow.TimerOptions{Summary: summary}).Get(ctx, nil)
}

// stage runs one stage: wait for its time, work until it ends or its latest end
// has come. Nothing that happens in it keeps the next stage from its turn; only
// the cancelling of the whole run does.
func (r *run) stage(ctx workflow.Context, p activities.StagePlan, work func(workflow.Context, *StageReport)) error {
	s := r.stageReport(string(p.Stage))
	if !p.Configured {
		s.Outcome = backup.NotConfigured
		r.show(ctx)
		return nil
	}
	if err := r.wait(ctx, p.At, fmt.Sprintf("until %s may start", p.Stage)); err != nil {
		return err
	}
	s.Started = workflow.Now(ctx).UTC()
	if err := workflow.UpsertTypedSearchAttributes(ctx, AttrStage.ValueSet(string(p.Stage))); err != nil {
		return err
	}
	r.show(ctx)

	if p.Stage == r.plan.Stages[0].Stage {
		s.add(r.plan.Items...) // what is missing is missing from the first stage on
	}
	until := p.LatestEnd
	if !until.IsZero() {
		until = until.Add(r.late)
	}
	done, late, err := bounded(ctx, until, fmt.Sprintf("latest end of %s", p.Stage), func(ctx workflow.Context) { work(ctx, s) })
	if err != nil {
		return err
	}
	if late {
		if p.Stage == backup.StageSnapshot {
			r.open = append(r.open, done)
		}
		s.add(activities.Item{
			Name: string(p.Stage), Outcome: backup.Warning,
			Detail: lateText[p.Stage],
		})
	}
	s.Ended = workflow.Now(ctx).UTC()
	s.settle()
	r.show(ctx)
	return nil
}

// lateText says what becomes of a stage that is still running at its latest end.
var lateText = map[backup.Stage]string{
	backup.StageSnapshot:  "still running at its latest end; the next stage starts, this one goes on",
	backup.StageProxmox:   "still running at its latest end; the next stage starts, the guests' backup goes on by itself",
	backup.StageReplicate: "still running at its latest end; the next stage starts, replication goes on by itself",
	backup.StageOffsite:   "offsite continues: still running at its latest end, it goes on by itself, into the next nights if it must",
}

// bounded runs work in its own coroutine and returns when it has ended or the
// instant until has come (late). Zero until: no bound. done is set when the work
// has ended.
func bounded(ctx workflow.Context, until time.Time, summary string, work func(workflow.Context)) (done workflow.Future, late bool, err error) {
	done, set := workflow.NewFuture(ctx)
	workflow.Go(ctx, func(gctx workflow.Context) {
		work(gctx)
		set.Set(nil, nil)
	})
	if until.IsZero() {
		return done, false, waitOrCancel(ctx, done)
	}
	tctx, stop := workflow.WithCancel(ctx)
	defer stop()
	// A stage that starts after its latest end still gets a minute: it is bounded,
	// not skipped.
	d := max(until.Sub(workflow.Now(ctx)), time.Minute)
	timer := workflow.NewTimerWithOptions(tctx, d, workflow.TimerOptions{Summary: summary})
	sel := workflow.NewSelector(ctx)
	sel.AddFuture(done, func(workflow.Future) {})
	sel.AddFuture(timer, func(workflow.Future) { late = true })
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) { late = false })
	sel.Select(ctx)
	return done, late, ctx.Err()
}

// drain waits for stages that went on after their latest end in this workflow
// itself: they would be lost with its end. A pool that hangs cannot hold it up for
// ever: an hour after the rest has ended, the night ends without it.
func (r *run) drain(ctx workflow.Context) error {
	for _, f := range r.open {
		_, late, err := bounded(ctx, workflow.Now(ctx).Add(time.Hour), "for late snapshots", func(ctx workflow.Context) { _ = f.Get(ctx, nil) })
		if err != nil {
			return err
		}
		if late {
			r.stageReport(string(backup.StageSnapshot)).add(activities.Item{
				Name: string(backup.StageSnapshot), Outcome: backup.Failed,
				Detail: "snapshots were still not taken when the night ended; is a pool hung? (zpool status)",
			})
		}
	}
	return nil
}

// failureOf is the failure type of a kind of run.
func failureOf(kind string) string {
	if kind == activities.PlanHourly {
		return FailedHour
	}
	return FailedNight
}

// waitOrCancel waits for a future that is always set, and says if ctx was
// cancelled meanwhile. The work itself sees the same cancellation and ends.
func waitOrCancel(ctx workflow.Context, f workflow.Future) error {
	if err := f.Get(ctx, nil); err != nil {
		return err
	}
	return ctx.Err()
}

// finish closes the report. A run with a failed part fails, because a failed
// workflow is what the Web UI, alerts and `temporal workflow list` can see; the
// report travels in the failure's details, for a failed workflow has no result.
func (r *run) finish(ctx workflow.Context, failureType string) (Report, error) {
	r.report.Ended = workflow.Now(ctx).UTC()
	r.report.settle()
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(r.report.Outcome)), AttrStage.ValueUnset())
	if err != nil {
		return r.report, err
	}
	r.show(ctx)
	if r.report.Outcome == backup.Failed {
		return r.report, temporal.NewNonRetryableApplicationError(r.report.Diagnosis(), failureType, nil, r.report)
	}
	return r.report, nil
}
