package workflows

import (
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
)

// PruneParams names the rows: hourly or nightly.
type PruneParams struct {
	Scope string `json:"scope"`
}

// Prune destroys the snapshots that retention no longer keeps. Which they are is
// decided from the pools' state when it runs, so running it again is harmless.
func Prune(ctx workflow.Context, p PruneParams) (res activities.PruneResult, err error) {
	ctx = with(ctx, quick, "prune "+p.Scope+" datasets")
	err = workflow.ExecuteActivity(ctx, pools.Prune, activities.PruneParams{Scope: p.Scope}).Get(ctx, &res)
	return res, err
}
