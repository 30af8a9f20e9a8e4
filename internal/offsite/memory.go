package offsite

import (
	"context"
	"math/bits"
	"sync"
)

// memory is the one budget for content in memory: small files whole, large ones in
// parts. Buffers are used again.
type memory struct {
	turn  chan struct{} // holds whoever is next: a large buffer must not starve
	freed chan struct{}

	mu   sync.Mutex
	max  int64
	out  int64
	idle map[int][][]byte // by capacity
	kept int64
}

func newMemory(size int64) *memory {
	return &memory{
		turn: make(chan struct{}, 1), freed: make(chan struct{}, 1),
		max: size, idle: map[int][][]byte{},
	}
}

// get waits for n bytes. A buffer larger than the whole budget is given out when
// nothing else is.
func (m *memory) get(ctx context.Context, n int64) ([]byte, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	size := capacity(n)
	for {
		if buf := m.tryGet(size); buf != nil {
			return buf[:n], nil
		}
		select {
		case <-m.freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// capacity rounds up to a power of two, so that few sizes are used again.
func capacity(n int64) int {
	const least = 64 << 10
	if n <= least {
		return least
	}
	return 1 << bits.Len64(uint64(n-1))
}

func (m *memory) tryGet(size int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out > 0 && m.out+int64(size) > m.max {
		return nil
	}
	m.out += int64(size)
	if idle := m.idle[size]; len(idle) > 0 {
		m.idle[size] = idle[:len(idle)-1]
		m.kept -= int64(size)
		return idle[len(idle)-1]
	}
	if m.out+m.kept > m.max {
		clear(m.idle)
		m.kept = 0
	}
	return make([]byte, size)
}

func (m *memory) put(buf []byte) {
	size := cap(buf)
	m.mu.Lock()
	m.out -= int64(size)
	if m.out+m.kept+int64(size) <= m.max {
		m.idle[size] = append(m.idle[size], buf[:size])
		m.kept += int64(size)
	}
	m.mu.Unlock()
	select {
	case m.freed <- struct{}{}:
	default:
	}
}
