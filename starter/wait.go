package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

// patience is how long a follower waits for a server that went away: a daemon
// that is restarted, or killed, comes back with the run where it was.
const patience = 10 * time.Minute

// await is run.Get that outlives the server: the run is durable, so losing sight
// of it says nothing about it.
func await(ctx context.Context, tc client.Client, run client.WorkflowRun, result any) error {
	var lost time.Time
	for {
		err := tc.GetWorkflow(ctx, run.GetID(), run.GetRunID()).Get(ctx, result)
		var unavailable *serviceerror.Unavailable
		var deadline *serviceerror.DeadlineExceeded
		if err == nil || ctx.Err() != nil || !errors.As(err, &unavailable) && !errors.As(err, &deadline) {
			return err
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if time.Since(lost) > patience {
			return fmt.Errorf("the Temporal server is away since %s; the run goes on when it is back: %w", lost.Format(time.TimeOnly), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (c *cli) followCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "follow WORKFLOW-ID",
		Short:   "follow a run to its end",
		Long:    "Follow a run to its end, a night, an hourly run, a replica or an offsite copy; the exit\nstatus tells how it ended. Interrupted, the run itself goes on.",
		Example: "  triplicate follow smith-nightly-2026-11-25T00:30:00Z",
		Args:    takes(1, 1, "WORKFLOW-ID"),

		ValidArgsFunction: c.completes(0, runs),
		RunE: func(cc *cobra.Command, args []string) error {
			cfg, tc, err := c.dial(cc.Context())
			if err != nil {
				return err
			}
			defer tc.Close()
			return c.follow(cc.Context(), tc, cfg, tc.GetWorkflow(cc.Context(), args[0], ""))
		},
	}
}
