package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// snapshots takes every set of the plan at its own time, each pool's with one
// atomic command, all sets side by side: a hung pool does not keep another from
// its snapshot.
func (r *run) snapshots(ctx workflow.Context, s *StageReport) {
	wg := workflow.NewWaitGroup(ctx)
	taken := 0
	for _, set := range r.plan.Groups {
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			if err := r.wait(ctx, set.At, fmt.Sprintf("until %d datasets of %s are due", len(set.Datasets), set.Pool)); err != nil {
				return
			}
			res, err := r.takeSnapshots(ctx, set)
			taken += res.Taken
			s.add(res.Items...)
			if err != nil {
				for _, d := range set.Datasets {
					s.add(activities.Item{Name: d, Outcome: backup.Failed, Detail: reason(err)})
				}
			}
			s.Summary = fmt.Sprintf("%d snapshots", taken)
			r.show(ctx)
		})
	}
	wg.Wait(ctx)
}

// takeSnapshots fixes the stamp in history, as the activity's input, before any
// command runs. If the host was off meanwhile and the stamp has grown too old,
// another one is fixed: nothing is back-dated.
func (r *run) takeSnapshots(ctx workflow.Context, set activities.SnapshotSet) (res activities.TakeSnapshotsResult, err error) {
	stamp := backup.StampFor(set.At, workflow.Now(ctx))
	for again := 3; ; again-- {
		params := activities.TakeSnapshotsParams{Pool: set.Pool, Datasets: set.Datasets, Run: r.mark, Stamp: stamp}
		summary := fmt.Sprintf("snapshot %d datasets of %s as %s", len(set.Datasets), set.Pool, stamp)
		err = workflow.ExecuteActivity(with(ctx, quick, summary), pools.TakeSnapshots, params).Get(ctx, &res)
		var app *temporal.ApplicationError
		if again == 0 || !errors.As(err, &app) || app.Type() != activities.TypeStampTooOld {
			return res, err
		}
		stamp = backup.StampFor(time.Time{}, workflow.Now(ctx))
	}
}

// each runs work for every part side by side, each at its own time.
func (r *run) each(ctx workflow.Context, parts []activities.PartPlan, work func(workflow.Context, string)) {
	wg := workflow.NewWaitGroup(ctx)
	for _, p := range parts {
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			if r.wait(ctx, p.At, "until "+p.Name+" may start") == nil {
				work(ctx, p.Name)
			}
		})
	}
	wg.Wait(ctx)
}

// replicate brings every replica up to date, each in a child with a fixed ID
// that outlives the night if it must.
func (r *run) replicate(ctx workflow.Context, s *StageReport) {
	datasets := 0
	r.each(ctx, r.plan.Replicas, func(ctx workflow.Context, name string) {
		res, item := r.replica(ctx, name)
		datasets += res.Datasets
		s.Bytes += res.Bytes
		s.add(item)
		s.add(res.Items...)
		s.Summary = fmt.Sprintf("%d datasets, %s", datasets, backup.Bytes(s.Bytes))
		r.show(ctx)
	})
}

// replica runs one replica's child and says what became of it.
func (r *run) replica(ctx workflow.Context, name string) (ReplicateSummary, activities.Item) {
	var res ReplicateSummary
	p := part{
		id: ReplicateID(r.plan.Host, name), summary: "replicate " + name,
		attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host), AttrReplica.ValueSet(name)},
		workflow:   Replicate,
		params:     ReplicateParams{Replica: name, Host: r.plan.Host, Started: r.report.Started.Add(-backup.StampTolerance)},
	}
	running, err := p.run(ctx, &res)
	return res, p.item(running, err, activities.Item{Name: name, Outcome: res.Outcome, Detail: res.Detail, Bytes: res.Bytes})
}

// prune destroys what the retention of scope's rows no longer keeps. It comes
// after the copies that need the snapshots.
func (r *run) prune(ctx workflow.Context, scope string) {
	s := r.stageReport("prune")
	s.Started = workflow.Now(ctx).UTC()
	r.show(ctx)
	var res activities.PruneResult
	running, err := part{
		id: PruneID(r.plan.Host, scope), summary: "prune " + scope + " datasets",
		attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host)},
		workflow:   Prune, params: PruneParams{Scope: scope},
	}.run(ctx, &res)
	switch {
	case running:
		s.add(activities.Item{Name: scope, Outcome: backup.Skipped, Detail: "another prune of the same datasets is running"})
	case err != nil:
		s.add(activities.Item{Name: scope, Outcome: backup.Failed, Detail: reason(err)})
	default:
		s.Summary = fmt.Sprintf("%d destroyed, %d kept on %d datasets", res.Destroyed, res.Kept, res.Datasets)
		s.add(res.Items...)
	}
	s.Ended = workflow.Now(ctx).UTC()
	s.settle()
	r.show(ctx)
}

// reason is the innermost text of a failure: what the command said, without
// Temporal's wrapping.
func reason(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return "gave up after its time was over: " + timeout.Error()
	}
	if temporal.IsCanceledError(err) {
		return "cancelled"
	}
	return err.Error()
}
