package workflows

import (
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
)

// HourlyParams is empty: the config says what is hourly.
type HourlyParams struct{}

// Hourly snapshots the hourly datasets and prunes them.
func Hourly(ctx workflow.Context, _ HourlyParams) (Report, error) {
	r, err := begin(ctx, activities.PlanHourly, "")
	if err != nil {
		return Report{}, err
	}
	for _, s := range r.plan.Stages {
		if err := r.stage(ctx, s, r.snapshots); err != nil {
			return r.report, err
		}
	}
	r.prune(ctx, activities.PlanHourly)
	return r.finish(ctx, FailedHour)
}
