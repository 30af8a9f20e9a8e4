package workflows

import (
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// TendParams names the host whose datastore it is.
type TendParams struct {
	Host string `json:"host"`
}

// TendSummary is what became of the datastore.
type TendSummary struct {
	Detail string            `json:"detail"`
	Items  []activities.Item `json:"items,omitempty"`
}

// Tend looks after the datastore once the guests are backed up: verify what is
// new, prune, collect garbage, in this order, so that a damaged newest backup
// keeps its older ones. It takes hours on a large datastore and nothing of the
// night waits for it.
func Tend(ctx workflow.Context, _ TendParams) (TendSummary, error) {
	var sum TendSummary
	var done []string
	for _, step := range []struct {
		summary string
		act     any
		options workflow.ActivityOptions
	}{
		{"verify the new backups", guests.VerifyDatastore, transfer},
		{"prune the datastore", guests.PruneDatastore, quick},
		{"collect garbage", guests.CollectGarbage, transfer},
	} {
		var res activities.DatastoreResult
		err := workflow.ExecuteActivity(with(ctx, step.options, step.summary), step.act, activities.DatastoreParams{}).Get(ctx, &res)
		switch {
		case temporal.IsCanceledError(err):
			return sum, err
		case err != nil:
			sum.Items = append(sum.Items, activities.Item{Name: step.summary, Outcome: backup.Failed, Detail: reason(err)})
		default:
			done = append(done, res.Summary)
			sum.Items = append(sum.Items, res.Items...)
		}
		sum.Detail = strings.Join(done, "; ")
		workflow.SetCurrentDetails(ctx, sum.Detail)
	}
	outcome := backup.OK
	for _, it := range sum.Items {
		outcome = backup.Worst(outcome, it.Outcome)
	}
	return sum, workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(outcome)))
}

// stageDatastore is the part of the report for Tend. It is no stage of the night:
// nothing waits for it but the report.
const stageDatastore = "datastore"

// startTend starts Tend beside the later stages.
func (r *run) startTend(ctx workflow.Context) {
	s := r.stageReport(stageDatastore)
	s.Started = workflow.Now(ctx).UTC()
	done, set := workflow.NewFuture(ctx)
	r.tended = done
	workflow.Go(ctx, func(ctx workflow.Context) {
		var res TendSummary
		running, err := part{
			id: TendID(r.plan.Host), summary: "verify, prune and collect garbage on Proxmox Backup Server",
			attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host)},
			workflow:   Tend, params: TendParams{Host: r.plan.Host},
		}.run(ctx, &res)
		switch {
		case running:
			s.add(activities.Item{Name: stageDatastore, Outcome: backup.Skipped, Detail: "an earlier run of it still goes on (" + TendID(r.plan.Host) + ")"})
		case err != nil:
			s.add(activities.Item{Name: stageDatastore, Outcome: backup.Failed, Detail: reason(err)})
		}
		s.Summary = res.Detail
		s.add(res.Items...)
		s.Ended = workflow.Now(ctx).UTC()
		s.settle()
		r.show(ctx)
		set.Set(nil, nil)
	})
}

// awaitTend waits for Tend until the night's end, so that the report has it.
func (r *run) awaitTend(ctx workflow.Context) error {
	if r.tended == nil {
		return nil
	}
	var until time.Time
	for _, s := range r.plan.Stages {
		if s.LatestEnd.After(until) {
			until = s.LatestEnd
		}
	}
	if !until.IsZero() {
		until = until.Add(r.late)
	}
	_, late, err := bounded(ctx, until, "end of the night", func(ctx workflow.Context) { _ = r.tended.Get(ctx, nil) })
	if late {
		s := r.stageReport(stageDatastore)
		s.add(activities.Item{Name: stageDatastore, Outcome: backup.OK, Detail: "still running; it goes on by itself (" + TendID(r.plan.Host) + ")"})
		s.settle()
	}
	return err
}
