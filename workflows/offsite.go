package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// vaults names the activities that copy offsite; the worker has the real ones.
var vaults *activities.Offsite

// FailedOffsite is the failure type of a target with a failed dataset. Details
// hold the OffsiteSummary.
const FailedOffsite = "OffsiteFailed"

// copiesPerRun is how many datasets one run copies before it continues as new, so
// that a pool of any size keeps a short history.
const copiesPerRun = 100

// OffsiteParams names a target. The rest is carried from run to run when the
// workflow continues as new.
type OffsiteParams struct {
	Host    string    `json:"host"`
	Target  string    `json:"target"`
	Started time.Time `json:"started"`

	Plan *activities.OffsitePlan `json:"plan,omitempty"` // what is still to do
	Sum  OffsiteSummary          `json:"sum,omitzero"`
}

// OffsiteSummary is what one run of a target did.
type OffsiteSummary struct {
	Target   string            `json:"target"`
	Outcome  backup.Outcome    `json:"outcome"`
	Detail   string            `json:"detail"`
	Total    int               `json:"total"`    // datasets to copy
	Datasets int               `json:"datasets"` // that are now up to date
	Objects  int               `json:"objects"`
	Bytes    int64             `json:"bytes"`
	USD      float64           `json:"usd"`
	Items    []activities.Item `json:"items,omitempty"` // what did not go well
}

// Offsite brings one offsite target up to date, dataset by dataset. The first run
// may take days: it is a child with a fixed ID that no night waits for, has no
// timeout and continues as new.
func Offsite(ctx workflow.Context, p OffsiteParams) (OffsiteSummary, error) {
	if p.Plan == nil {
		var plan activities.OffsitePlan
		err := workflow.ExecuteActivity(with(ctx, quick, "list what "+p.Target+" covers"),
			vaults.PlanOffsite, activities.PlanOffsiteParams{Target: p.Target}).Get(ctx, &plan)
		if err != nil {
			return p.Sum, err
		}
		p.Plan = &plan
		p.Sum = OffsiteSummary{Target: p.Target, Outcome: backup.OK, Total: len(plan.Datasets), Items: plan.Items}
		p.Plan.Items = nil
	}
	for n := 0; len(p.Plan.Datasets) > 0; n++ {
		if n >= copiesPerRun || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			p.Sum.Items = activities.AtMost(p.Sum.Items) // it is carried on
			return p.Sum, workflow.NewContinueAsNewError(ctx, Offsite, p)
		}
		dataset := p.Plan.Datasets[0]
		if err := copyOne(ctx, &p, dataset); err != nil {
			return p.Sum, err
		}
		p.Plan.Datasets = slices.Clone(p.Plan.Datasets[1:])
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d of %d datasets, %d objects, %s; last: `%s`",
			p.Sum.Datasets, p.Sum.Total, p.Sum.Objects, backup.Bytes(p.Sum.Bytes), dataset))
	}
	return finishOffsite(ctx, p.Sum)
}

// copyOne copies one dataset; only the cancelling of the whole run is an error.
func copyOne(ctx workflow.Context, p *OffsiteParams, dataset string) error {
	if dataset == p.Plan.Idle {
		var item activities.Item
		err := workflow.ExecuteActivity(with(ctx, transfer, "wait until the datastore on "+dataset+" is idle"),
			guests.AwaitIdle, activities.DatastoreParams{}).Get(ctx, &item)
		switch {
		case temporal.IsCanceledError(err):
			return err
		case err != nil: // a snapshot is consistent even of a busy datastore
			p.Sum.add(activities.Item{Name: dataset, Outcome: backup.Warning, Detail: "could not ask whether the datastore is idle: " + reason(err)})
		case item.Outcome != backup.OK:
			p.Sum.add(item)
		}
	}
	var res activities.CopyOffsiteResult
	params := activities.CopyOffsiteParams{
		Target: p.Target, Dataset: dataset, Run: workflow.GetInfo(ctx).FirstRunID,
		Stamp: backup.StampOf(workflow.Now(ctx)), SpentUSD: p.Sum.USD,
	}
	err := workflow.ExecuteActivity(with(ctx, transfer, "copy "+dataset+" to "+p.Target), vaults.CopyOffsite, params).Get(ctx, &res)
	switch {
	case temporal.IsCanceledError(err):
		return err
	case err != nil:
		p.Sum.add(activities.Item{Name: dataset, Outcome: backup.Failed, Detail: reason(err)})
		return nil
	case res.Outcome == backup.OK || res.Outcome == backup.Warning:
		p.Sum.Datasets++
	}
	p.Sum.Objects += res.Objects
	p.Sum.Bytes += res.Bytes
	p.Sum.USD += res.USD
	if res.Outcome != backup.OK {
		p.Sum.add(activities.Item{Name: dataset, Outcome: res.Outcome, Detail: res.Detail, Bytes: res.Bytes})
	}
	return nil
}

// add appends an item.
func (s *OffsiteSummary) add(it activities.Item) {
	s.Items = append(s.Items, it)
	s.Outcome = backup.Worst(s.Outcome, it.Outcome)
}

func finishOffsite(ctx workflow.Context, sum OffsiteSummary) (OffsiteSummary, error) {
	firstFailed := ""
	for _, it := range sum.Items {
		sum.Outcome = backup.Worst(sum.Outcome, it.Outcome)
		if firstFailed == "" && it.Outcome == backup.Failed {
			firstFailed = it.Name + ": " + it.Detail
		}
	}
	sum.Items = activities.AtMost(sum.Items)
	sum.Detail = fmt.Sprintf("%d of %d datasets up to date, %d objects, %s, requests for %s",
		sum.Datasets, sum.Total, sum.Objects, backup.Bytes(sum.Bytes), backup.USD(sum.USD))
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(sum.Outcome)), AttrBytes.ValueSet(sum.Bytes))
	if err != nil {
		return sum, err
	}
	workflow.SetCurrentDetails(ctx, sum.Detail)
	if sum.Outcome == backup.Failed {
		return sum, temporal.NewNonRetryableApplicationError(sum.Detail+"; "+firstFailed, FailedOffsite, nil, sum)
	}
	return sum, nil
}

// offsite starts every target's child at its time and watches it. What is still
// running at the stage's latest end goes on by itself.
func (r *run) offsite(ctx workflow.Context, s *StageReport) {
	objects := 0
	r.each(ctx, r.plan.Targets, func(ctx workflow.Context, name string) {
		res, item := r.offsiteTarget(ctx, name)
		objects += res.Objects
		s.Bytes += res.Bytes
		s.add(item)
		s.add(res.Items...)
		s.Summary = fmt.Sprintf("%d objects, %s", objects, backup.Bytes(s.Bytes))
		r.show(ctx)
	})
}

// offsiteTarget runs one target's child and says what became of it.
func (r *run) offsiteTarget(ctx workflow.Context, name string) (OffsiteSummary, activities.Item) {
	var res OffsiteSummary
	p := part{
		id: OffsiteID(r.plan.Host, name), summary: "copy to " + name,
		attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host), AttrTarget.ValueSet(name)},
		workflow:   Offsite, params: OffsiteParams{Host: r.plan.Host, Target: name, Started: r.report.Started},
	}
	running, err := p.run(ctx, &res)
	return res, p.item(running, err, activities.Item{Name: name, Outcome: res.Outcome, Detail: res.Detail, Bytes: res.Bytes})
}
