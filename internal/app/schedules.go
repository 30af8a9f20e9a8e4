package app

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"triplicate/internal/config"
	"triplicate/schedules"
)

// SyncSchedules makes the cluster's schedules agree with the config. Pauses and
// notes stay the operator's.
func SyncSchedules(ctx context.Context, c client.Client, cfg *config.Config) (schedules.Report, error) {
	desired, err := schedules.Desired(cfg.Policy(), time.Now())
	if err != nil {
		return schedules.Report{}, err
	}
	namespace, err := Namespace(cfg)
	if err != nil {
		return schedules.Report{}, err
	}
	return schedules.Sync(ctx, c, namespace, cfg.Host, desired)
}
