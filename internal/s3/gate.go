package s3

import (
	"context"
	"sync"
)

// gate limits how many requests are under way. The limit halves when the server
// asks to slow down and grows by one for each full round without that, so that
// workers find the server's speed instead of sleeping out their backoff.
type gate struct {
	mu      sync.Mutex
	max     float64
	limit   float64
	inside  int
	round   int // counts halvings: what entered before the last one does not halve again
	waiting []chan struct{}
}

func newGate(most int) *gate { return &gate{max: float64(most), limit: float64(most)} }

// enter waits for a place and returns the round it was given in.
func (g *gate) enter(ctx context.Context) (int, error) {
	g.mu.Lock()
	if g.inside < int(g.limit) && len(g.waiting) == 0 {
		g.inside++
		defer g.mu.Unlock()
		return g.round, nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.round, nil
	case <-ctx.Done():
		g.giveUp(turn)
		return 0, context.Cause(ctx)
	}
}

func (g *gate) giveUp(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == turn {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			return
		}
	}
	g.inside-- // the place was given while ctx ended
	g.admit()
}

// leave gives the place back.
func (g *gate) leave(round int, throttled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case throttled && round == g.round:
		g.limit = max(1, g.limit/2)
		g.round++
	case !throttled:
		g.limit = min(g.max, g.limit+1/g.limit)
	}
	g.inside--
	g.admit()
}

// admit lets in who fits. g.mu must be held.
func (g *gate) admit() {
	for g.inside < int(g.limit) && len(g.waiting) > 0 {
		g.inside++
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
}
