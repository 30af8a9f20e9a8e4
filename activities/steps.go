package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"triplicate/internal/backup"
)

// Pools holds the steps that look at and change ZFS. Its methods are the
// activities; called without a worker (from triplicate plan, say) they work too.
type Pools struct {
	ZFS    ZFS
	Policy backup.Policy
	Locks  *Locks
	Now    func() time.Time
	// Stall is how long a stream may move no byte; zero means DefaultStall.
	Stall time.Duration
}

// beatEvery is how often a long step heartbeats. It is a fraction of the
// heartbeat timeout (workflows/options.go), so that a loaded machine is not
// taken for a dead one.
const beatEvery = 5 * time.Second

// beat heartbeats detail() until the returned function is called. Outside a
// worker it does nothing.
func beat(ctx context.Context, detail func() any) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	activity.RecordHeartbeat(ctx, detail())
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-t.C:
				activity.RecordHeartbeat(ctx, detail())
			}
		}
	}()
	return func() { close(done); <-gone }
}

// logInfo writes one line a step, through the worker's logger when there is one.
func logInfo(ctx context.Context, msg string, keyvals ...any) {
	if activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Info(msg, keyvals...)
	}
}
