package s3

import (
	"context"
	"errors"
	"testing"
)

// full enters until the next one would have to wait and says how many that were.
func full(t *testing.T, g *gate) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var rounds []int
	for {
		round, err := g.enter(ctx)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			break
		}
		rounds = append(rounds, round)
	}
	g.inside -= len(rounds)
	return len(rounds)
}

func TestGate(t *testing.T) {
	g := newGate(8)
	if n := full(t, g); n != 8 {
		t.Fatalf("%d fit, want 8", n)
	}
	one, _ := g.enter(t.Context())
	two, _ := g.enter(t.Context())
	g.leave(one, true)
	g.leave(two, true)
	if n := full(t, g); n != 4 {
		t.Errorf("%d fit, want 4: two refusals of one round halve once", n)
	}
	for range 10 {
		round, _ := g.enter(t.Context())
		g.leave(round, true)
	}
	if n := full(t, g); n != 1 {
		t.Errorf("%d fit, want 1: somebody must ask on", n)
	}
	for range 3 {
		round, _ := g.enter(t.Context())
		g.leave(round, false)
	}
	if n := full(t, g); n != 2 {
		t.Errorf("%d fit after three successes, want 2", n)
	}
	for range 100 {
		round, _ := g.enter(t.Context())
		g.leave(round, false)
	}
	if n := full(t, g); n != 8 {
		t.Errorf("%d fit, want 8 again and never more", n)
	}
}

func TestGateLetsTheNextOneIn(t *testing.T) {
	g := newGate(1)
	round, _ := g.enter(t.Context())
	gone, cancel := context.WithCancel(t.Context())
	entered := make(chan error)
	go func() {
		_, err := g.enter(gone)
		entered <- err
	}()
	cancel()
	if err := <-entered; !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v", err)
	}
	go func() {
		_, err := g.enter(t.Context())
		entered <- err
	}()
	g.leave(round, false)
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
}
