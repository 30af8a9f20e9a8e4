package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Activities are named through nil pointers, so that renames are compiler-checked;
// the worker registers the real ones.

// quick is for steps of a few zfs commands. They heartbeat too, because after a
// kill -9 the next try starts when the heartbeat is missed, not after the
// start-to-close timeout. Thirty attempts, a quarter of an hour, outlast a reboot
// and an import.
var quick = workflow.ActivityOptions{
	StartToCloseTimeout: 15 * time.Minute,
	HeartbeatTimeout:    20 * time.Second,
	WaitForCancellation: true,
	RetryPolicy: &temporal.RetryPolicy{
		InitialInterval: 2 * time.Second, BackoffCoefficient: 1.5,
		MaximumInterval: 30 * time.Second, MaximumAttempts: 30,
	},
}

// transfer is for streams. A first full send of a big pool takes days, but one
// silent for twenty seconds is dead: progress is heartbeated every five. One whose
// stream does not move is given up by the step itself (activities.DefaultStall).
var transfer = workflow.ActivityOptions{
	TaskQueue:           transferQueue,
	StartToCloseTimeout: 7 * 24 * time.Hour,
	HeartbeatTimeout:    20 * time.Second,
	WaitForCancellation: true,
	RetryPolicy: &temporal.RetryPolicy{
		InitialInterval: 5 * time.Second, BackoffCoefficient: 1.5,
		MaximumInterval: time.Minute, MaximumAttempts: 40,
	},
}

// with gives an activity call its summary, which the Web UI shows as its name, and
// what takes long a queue of its own: a handful of first copies that run for days
// must not take the places of the hourly snapshots.
func with(ctx workflow.Context, o workflow.ActivityOptions, summary string) workflow.Context {
	o.Summary = summary
	if o.TaskQueue != "" {
		o.TaskQueue = workflow.GetInfo(ctx).TaskQueueName + o.TaskQueue
	}
	return workflow.WithActivityOptions(ctx, o)
}
