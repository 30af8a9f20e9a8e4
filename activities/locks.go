package activities

import "context"

// Locks keeps steps on one dataset apart within this daemon; the daemon's own
// lock file keeps daemons apart. The zero value is not ready: use NewLocks.
type Locks struct{ slots chan map[string]chan struct{} }

// NewLocks makes an empty set.
func NewLocks() *Locks {
	l := &Locks{slots: make(chan map[string]chan struct{}, 1)}
	l.slots <- map[string]chan struct{}{}
	return l
}

// slot is the one-place channel of a name: who sends into it has the lock.
func (l *Locks) slot(name string) chan struct{} {
	m := <-l.slots
	defer func() { l.slots <- m }()
	if m[name] == nil {
		m[name] = make(chan struct{}, 1)
	}
	return m[name]
}

// Lock waits for name until ctx ends. Call the returned function to let go.
func (l *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	s := l.slot(name)
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TryLock takes name if nobody has it.
func (l *Locks) TryLock(name string) (unlock func(), ok bool) {
	s := l.slot(name)
	select {
	case s <- struct{}{}:
		return func() { <-s }, true
	default:
		return nil, false
	}
}
