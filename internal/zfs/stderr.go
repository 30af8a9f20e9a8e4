package zfs

import (
	"bytes"
	"io"
	"sync"
)

// stderr keeps what a command says, in whole lines: the last max bytes of it. It
// may be read while the command is still writing, as one that was abandoned is.
type stderr struct {
	max int
	// drop says which lines are not kept but counted: a listing of names that are
	// not there says so of each, and must not crowd out what else went wrong.
	drop func(line []byte) bool

	mu      sync.Mutex
	kept    []byte
	line    []byte // not ended yet
	dropped int
}

// Write never fails.
func (s *stderr) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = append(s.line, p...)
	for {
		end := bytes.IndexByte(s.line, '\n') + 1
		if len(s.line) >= s.max && (end == 0 || end > s.max) {
			end = s.max // a line without an end is bounded too
		}
		if end == 0 {
			return len(p), nil
		}
		s.take(s.line[:end])
		s.line = s.line[end:]
	}
}

// take keeps one line, and lets go of the oldest ones.
func (s *stderr) take(line []byte) {
	if s.drop != nil && s.drop(line) {
		s.dropped++
		return
	}
	s.kept = append(s.kept, line...)
	if over := len(s.kept) - s.max; over > 0 {
		s.kept = s.kept[over+max(0, bytes.IndexByte(s.kept[over-1:], '\n')):]
	}
}

// String is what was kept, with a last line that has no end.
func (s *stderr) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.kept) + string(s.line)
}

// onlyDropped says whether there were lines, and all of them were dropped.
func (s *stderr) onlyDropped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped > 0 && len(s.kept)+len(s.line) == 0
}

var _ io.Writer = (*stderr)(nil)
