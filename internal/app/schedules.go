package app

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/sdk/client"

	"triplicate/internal/config"
	"triplicate/schedules"
)

// Identity is the daemon's name on the Temporal server: its host, and which config it
// has read, so that check can tell when the file has changed since.
func Identity(cfg *config.Config) string { return "triplicated@" + cfg.Host + "#" + cfg.Fingerprint() }

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

// Schedules looks which schedules of the config are missing on the cluster, and
// which are paused. It changes nothing.
func Schedules(ctx context.Context, c client.Client, cfg *config.Config) (missing []string, paused []schedules.Paused, err error) {
	desired, err := schedules.Desired(cfg.Policy(), time.Now())
	if err != nil {
		return nil, nil, err
	}
	namespace, err := Namespace(cfg)
	if err != nil {
		return nil, nil, err
	}
	there, err := schedules.List(ctx, c, namespace, cfg.Host)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range desired {
		i := slices.IndexFunc(there, func(s schedules.Status) bool { return s.ID == d.ID })
		switch {
		case i < 0:
			missing = append(missing, d.ID)
		case there[i].Paused:
			paused = append(paused, schedules.Paused{ID: d.ID, Note: there[i].Note})
		}
	}
	return missing, paused, nil
}
