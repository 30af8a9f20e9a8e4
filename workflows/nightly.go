package workflows

import (
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// FailedNight is the failure type of a night with a failed part; FailedHour of an
// hourly run with one. Details hold the Report.
const (
	FailedNight = "NightFailed"
	FailedHour  = "HourFailed"
)

// NightlyParams narrows a night. The zero value is a whole night.
type NightlyParams struct {
	// Only runs one stage: snapshot (every enabled row), proxmox or offsite.
	Only string `json:"only,omitempty"`
}

// Nightly runs one night: snapshot, proxmox, replicate, offsite, then prune.
// A stage starts when the ones before it have ended, or passed their latest end,
// and its own time has come. A failed part is an outcome: the others go on.
func Nightly(ctx workflow.Context, p NightlyParams) (Report, error) {
	switch p.Only {
	case "", string(backup.StageSnapshot), string(backup.StageProxmox), string(backup.StageOffsite):
	default:
		return Report{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("no stage %q; there are snapshot, proxmox and offsite", p.Only), activities.TypeNotConfigured, nil)
	}
	kind := activities.PlanNightly
	if p.Only == string(backup.StageSnapshot) {
		kind = activities.PlanSnapshot
	}
	r, err := begin(ctx, kind, p.Only)
	if err != nil {
		return Report{}, err
	}
	if mine, err := r.claim(ctx); err != nil || !mine {
		return r.report, err
	}
	work := map[backup.Stage]func(workflow.Context, *StageReport){
		backup.StageSnapshot:  r.snapshots,
		backup.StageProxmox:   r.proxmox,
		backup.StageReplicate: r.replicate,
		backup.StageOffsite:   r.offsite,
	}
	for _, s := range r.plan.Stages {
		if err := r.stage(ctx, s, work[s.Stage]); err != nil {
			return r.report, err
		}
	}
	if p.Only == "" {
		r.prune(ctx, activities.PlanNightly)
	}
	if err := r.awaitTend(ctx); err != nil {
		return r.report, err
	}
	if err := r.drain(ctx); err != nil {
		return r.report, err
	}
	return r.finish(ctx, FailedNight)
}

// claim makes sure that a local date has one scheduled night, and a day's
// backfills one run: whoever first starts the child of that name has it. Runs
// by hand have their own run ID and claim nothing.
func (r *run) claim(ctx workflow.Context) (mine bool, err error) {
	if r.plan.Run == activities.Manual {
		return true, nil
	}
	key := r.plan.Night
	if r.plan.Run == activities.Backfill {
		key = "backfill-" + r.report.Started.Format("2006-01-02")
	}
	id := ClaimID(r.plan.Host, key)
	err = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            id,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		StaticSummary:         "claim the night " + key,
		TypedSearchAttributes: temporal.NewSearchAttributes(AttrHost.ValueSet(r.plan.Host)),
	}), Claim, ClaimParams{Night: key}).Get(ctx, nil)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		r.report.Notes = append(r.report.Notes, "nothing done: this night already has its run (see workflow "+id+"'s parent)")
		for i := range r.report.Stages {
			r.report.Stages[i].Outcome = backup.Skipped
		}
		_, err = r.finish(ctx, FailedNight)
		return false, err
	}
	return err == nil, err
}

// ClaimParams names the night.
type ClaimParams struct {
	Night string `json:"night"`
}

// Claim does nothing but exist: its workflow ID is the claim on a night, and
// its parent is the owner.
func Claim(_ workflow.Context, _ ClaimParams) error { return nil }
