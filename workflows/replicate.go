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

// FailedReplica is the failure type of a replica with a failed dataset. Details
// hold the ReplicateSummary.
const FailedReplica = "ReplicaFailed"

// ReplicateParams names a replica.
type ReplicateParams struct {
	Replica string `json:"replica"`
	Host    string `json:"host"`
	// Started is when the night began: points older than it are reported. Zero
	// when run by hand.
	Started time.Time `json:"started,omitzero"`
}

// ReplicateSummary is what one run of a replica did.
type ReplicateSummary struct {
	Replica  string            `json:"replica"`
	Outcome  backup.Outcome    `json:"outcome"`
	Detail   string            `json:"detail"`
	Datasets int               `json:"datasets"` // that are now up to date
	Bytes    int64             `json:"bytes"`
	Items    []activities.Item `json:"items,omitempty"` // what did not go well
}

// Replicate brings one replica up to date, dataset by dataset, parents first. A
// failed dataset does not stop the others, only new ones below one that is not on
// the replica yet.
func Replicate(ctx workflow.Context, p ReplicateParams) (ReplicateSummary, error) {
	sum := ReplicateSummary{Replica: p.Replica, Outcome: backup.OK}
	var plan activities.ReplicaPlan
	err := workflow.ExecuteActivity(with(ctx, quick, "look at both ends of "+p.Replica),
		pools.PlanReplica, activities.PlanReplicaParams{Replica: p.Replica, Stamp: stampOf(p.Started)}).Get(ctx, &plan)
	if err != nil {
		return sum, err
	}
	sum.Items, sum.Datasets = plan.Items, plan.UpToDate
	for i, dataset := range plan.Sources {
		var res activities.ReplicateResult
		params := activities.ReplicateParams{Replica: p.Replica, Dataset: dataset, Stamp: stampOf(p.Started)}
		summary := fmt.Sprintf("send %s to %s", dataset, plan.Target)
		err := workflow.ExecuteActivity(with(ctx, transfer, summary), pools.ReplicateDataset, params).Get(ctx, &res)
		switch {
		case temporal.IsCanceledError(err):
			return sum, err
		case err != nil:
			sum.Items = append(sum.Items, unsent(dataset, err))
		default:
			sum.Datasets++
			sum.Bytes += res.Bytes
			if res.Behind {
				sum.Items = append(sum.Items, activities.Behind(dataset, res.Snapshot))
			}
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d of %d datasets to copy, %d up to date, %s sent; last: `%s` %s",
			i+1, len(plan.Sources), sum.Datasets, backup.Bytes(sum.Bytes), dataset, res.Kind))
	}
	return finishReplica(ctx, sum, plan)
}

// unsent says what became of a dataset that was not copied: failed, or skipped
// because one above it has failed.
func unsent(dataset string, err error) activities.Item {
	it := activities.Item{Name: dataset, Outcome: backup.Failed, Detail: reason(err)}
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == activities.TypeNoParent {
		it.Outcome = backup.Skipped
	}
	return it
}

// finishReplica settles the outcome; a failed dataset fails the workflow, with
// the summary in the failure's details. So does a replica that copies nothing at
// all: it looks like a copy and is none.
func finishReplica(ctx workflow.Context, sum ReplicateSummary, plan activities.ReplicaPlan) (ReplicateSummary, error) {
	total := plan.UpToDate + len(plan.Sources)
	if total == 0 && len(sum.Items) == 0 {
		sum.Items = append(sum.Items, activities.Item{
			Name: plan.Source, Outcome: backup.Failed,
			Detail: "there is nothing to copy: every dataset of it is excluded; delete the replica, or the exclude",
		})
	}
	first := ""
	for _, it := range sum.Items {
		sum.Outcome = backup.Worst(sum.Outcome, it.Outcome)
		if first == "" && it.Outcome == backup.Failed {
			first = it.Name + ": " + it.Detail
		}
	}
	sum.Items = activities.AtMost(sum.Items)
	sum.Detail = fmt.Sprintf("%d of %d datasets up to date, %s sent", sum.Datasets, total, backup.Bytes(sum.Bytes))
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(sum.Outcome)), AttrBytes.ValueSet(sum.Bytes))
	if err != nil {
		return sum, err
	}
	if sum.Outcome == backup.Failed {
		return sum, temporal.NewNonRetryableApplicationError(sum.Detail+"; "+first, FailedReplica, nil, sum)
	}
	return sum, nil
}

// stampOf is the stamp of the run that points are compared with.
func stampOf(started time.Time) backup.Stamp {
	if started.IsZero() {
		return ""
	}
	return backup.StampOf(started)
}
