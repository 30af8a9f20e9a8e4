package s3_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

func TestAClockThatIsOffIsCorrectedOnce(t *testing.T) {
	for name, do := range map[string]func(context.Context, *scene) error{
		"put": func(ctx context.Context, b *scene) error {
			_, err := b.Put(ctx, spec("k", nil), nil)
			return err
		},
		"list": func(ctx context.Context, b *scene) error {
			return b.List(ctx, "", func(backup.Object) error { return nil })
		},
		"head, whose answer has no code": func(ctx context.Context, b *scene) error {
			_, err := b.Head(ctx, "there", "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			off := time.Duration(0)
			b := open(t, func(_ *s3test.Options, c *s3.Config) {
				now := c.Now
				c.Now = func() time.Time { return now().Add(off) }
			})
			put(t, b, "there", "STANDARD")
			off = -3 * time.Hour
			before := b.Requests()
			check(t, do(t.Context(), b), nil)
			if n := b.Requests() - before; n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
			check(t, do(t.Context(), b), nil)
			if n := b.Requests() - before; n != 3 {
				t.Errorf("%d requests in all, want 3: the correction stays", n)
			}
			off = 0 // and is itself corrected when somebody sets the clock
			check(t, do(t.Context(), b), nil)
		})
	}
}

func TestAClockThatCannotBeCorrected(t *testing.T) {
	for name, do := range map[string]func(context.Context, *scene) error{
		"put k": func(ctx context.Context, b *scene) error {
			_, err := b.Put(ctx, spec("k", nil), nil)
			return err
		},
		"head k": func(ctx context.Context, b *scene) error {
			_, err := b.Head(ctx, "k", "")
			return err
		},
	} {
		b := open(t)
		b.server.Script(s3test.Fault{N: 1, Skew: -time.Hour}, s3test.Fault{N: 2, Skew: 20 * time.Minute})
		err := do(t.Context(), b)
		check(t, err, backup.ErrClockSkew)
		if want := name + ": off by 20m0s: the clock is wrong"; err.Error() != want || b.Requests() != 2 {
			t.Errorf("after %d requests: %q, want %q", b.Requests(), err, want)
		}
	}
}

func TestForbiddenIsNotAClock(t *testing.T) {
	b := open(t, func(o *s3test.Options, _ *s3.Config) {
		o.Keys = []s3test.Key{s3test.Uploader(keyID, secret, "", "manifests/")}
	})
	put(t, b, "data/k", "STANDARD")
	_, err := b.Head(t.Context(), "data/k", "")
	check(t, err, backup.ErrForbidden)
	if !strings.HasPrefix(err.Error(), "head data/k: ") {
		t.Errorf("error = %q", err)
	}
}
