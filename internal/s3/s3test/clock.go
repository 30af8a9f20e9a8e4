package s3test

import (
	"sync"
	"time"
)

// Clock is a clock that a test moves by hand.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at three o'clock (UTC) in a night.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)} }

// Now is the time that the clock stands at.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
