package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"triplicate/internal/backup"
)

// DefaultStall is how long a stream may move no byte before it is given up. A pool
// that is busy with a scrub or spins up its disks is silent for a minute or two;
// one that hangs is silent for ever, and its step would heartbeat for days.
const DefaultStall = 15 * time.Minute

// unlessStalled runs work, and cancels it when moved has not changed for as long
// as Stall allows: then the answer is backup.ErrStalled, and a retry goes on from
// what arrived.
func (a *Pools) unlessStalled(ctx context.Context, moved func() int64, work func(context.Context) error) error {
	limit := cmp.Or(a.Stall, DefaultStall)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tick := time.NewTicker(max(limit/30, time.Millisecond))
	defer tick.Stop()
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		p := pace{limit: limit, moved: moved(), since: a.Now()}
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if p.stalled(moved(), a.Now()) {
				cancel(fmt.Errorf("not a byte in %s: %w", limit, backup.ErrStalled))
				return
			}
		}
	}()
	err := work(ctx)
	close(done)
	<-gone
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, backup.ErrStalled) && !errors.Is(err, backup.ErrStalled) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// pace remembers when a stream last moved.
type pace struct {
	limit time.Duration
	moved int64
	since time.Time
}

// stalled says whether so many bytes, now, are the same for limit.
func (p *pace) stalled(moved int64, now time.Time) bool {
	if moved != p.moved {
		p.moved, p.since = moved, now
	}
	return now.Sub(p.since) >= p.limit
}
