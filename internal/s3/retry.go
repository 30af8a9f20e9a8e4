package s3

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"triplicate/internal/backup"
)

const (
	minWait  = 100 * time.Millisecond
	maxWait  = 20 * time.Second
	maxAfter = 5 * time.Minute // a Retry-After beyond this is the caller's to wait for

	// Being asked to slow down is no fault, and a request may meet it many times in
	// a row: with 10 tries and half of all requests refused, one file in a thousand
	// would be given up.
	patience = 4
)

// try sends a request until its answer is final: a success, a refusal that no try
// cures, or the last of the tries. what begins every error ("put smith/a").
// Between tries it waits between 0.1 s and a bound that doubles up to 20 s, drawn at
// random so that workers do not come back together, or as long as the server says.
func (b *Bucket) try(ctx context.Context, what string, once func(context.Context) error) error {
	var corrected, renewed, resent, lost bool
	for n := 1; ; n++ {
		err := b.attempt(ctx, once)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		f := failed(err)
		f.lost = f.lost || lost
		switch meaning := f.meaning(); {
		case f.skewed(b.clock.now()) && !corrected && !f.date.IsZero():
			corrected = true
			b.clock.correct(f.date)
			continue
		case errors.Is(meaning, backup.ErrCredentials) && !renewed:
			// The key may have been rotated since it was read.
			renewed = true
			changed, err := b.keys.renew()
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if changed {
				continue
			}
			return b.wrap(what, f)
		case errors.Is(meaning, backup.ErrDamaged) && !resent && !f.final:
			resent = true // damaged on the way, or in our memory: the next try tells
			continue
		case !f.passes() || f.after > maxAfter || n >= b.conf.Tries && !errors.Is(meaning, backup.ErrThrottled) || n >= b.conf.Tries*patience:
			return b.wrap(what, f)
		}
		lost = f.lost || f.status >= 500 && f.status != 503
		if err := b.conf.Wait(ctx, max(f.after, backoff(n))); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// attempt sends a request once, when its turn comes. It does not keep its place
// while it waits to try again.
func (b *Bucket) attempt(ctx context.Context, once func(context.Context) error) error {
	if _, err := b.keys.get(); err != nil {
		return err
	}
	round, err := b.gate.enter(ctx)
	if err != nil {
		return err
	}
	err = once(ctx)
	b.gate.leave(round, err != nil && errors.Is(failed(err).meaning(), backup.ErrThrottled))
	return err
}

// backoff is how long to wait after the n-th try.
func backoff(n int) time.Duration {
	bound := min(maxWait, minWait<<min(n, 10))
	return minWait + rand.N(bound-minWait+1)
}
