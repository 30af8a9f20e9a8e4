package pbstest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one line of the journal.
type Request struct {
	At     time.Time
	Method string
	Path   string     // as in the schema, such as /admin/datastore/{store}/gc
	Token  string     // its user@realm!name; never the secret
	Params url.Values // of path, query and form
	Code   int        // of the answer; 0: it was never sent
}

// Requests is the journal so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// Count counts the requests of a method whose path, as in the schema, ends so.
func (s *Server) Count(method, pathEnd string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Method == method && strings.HasSuffix(r.Path, pathEnd) {
			n++
		}
	}
	return n
}

// Violations are the calls that the vendor's API does not have or allow, and
// answers of the simulator's own that are not the vendor's. Without a schema, only
// calls of unknown paths are noticed.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

func (s *Server) violate(format string, args ...any) {
	s.violations = append(s.violations, fmt.Sprintf(format, args...))
}

// Fault is a mishap by script. With a Code, the answer is that code and Text, and
// nothing is carried out. Without, the connection is cut: before anything is done,
// or Late, when it has been carried out and only the answer is lost.
type Fault struct {
	Method string // empty: any
	Path   string // the end of the path as in the schema, such as /gc; empty: any
	Skip   int    // so many matching calls go well first
	Times  int    // then so many fail; zero: one; below zero: all
	Code   int
	Text   string
	Late   bool
}

// Fail adds a fault.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault finds the fault that befalls a call, and counts it.
func (s *Server) fault(method, path string) *Fault {
	for _, f := range s.faults {
		if f.Method != "" && f.Method != method || !strings.HasSuffix(path, f.Path) || f.Times == 0 {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}
