package pbstest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// task is a worker task. It ends when the clock has reached due, or is told to.
type task struct {
	number                int
	node                  string
	kind, worker, user    string // worker_type, worker_id, auth_id
	started, due, stopped time.Time
	open                  bool   // without a due time: a backup, or one that hangs
	status                string // empty: it runs
	log                   []string
	warnings              int
	zone                  *time.Location
	finish                func(t *task) (status string) // what it does, at its end
	abort                 func(t *task)
}

// start starts a task.
func (s *Server) start(kind, worker, user string) *task {
	now := s.now()
	t := &task{
		number: len(s.tasks) + 1, node: s.conf.Node, kind: kind, worker: worker, user: user,
		started: now, due: now.Add(s.conf.Takes(kind)), zone: s.conf.Zone,
		open: slices.Contains(s.hanging, kind),
	}
	s.tasks = append(s.tasks, t)
	return t
}

// settle ends the tasks whose time has come. Every entry into the server calls it.
func (s *Server) settle() {
	now := s.now()
	for _, t := range s.tasks {
		if t.running() && !t.open && !now.Before(t.due) {
			status := "OK"
			if t.finish != nil {
				status = t.finish(t)
			}
			t.end(t.due, status)
		}
	}
}

func (t *task) running() bool { return t.status == "" }

// end writes the last line and the status.
func (t *task) end(at time.Time, status string) {
	t.stopped, t.status = at, status
	switch {
	case status == "OK", strings.HasPrefix(status, "WARNINGS: "):
		t.say(at, "TASK %s", status)
	case status == "unknown": // whoever would have written it is dead
	default:
		t.say(at, "TASK ERROR: %s", status)
	}
}

// result is the status of a task that did what it could.
func (t *task) result() string {
	if t.warnings > 0 {
		return fmt.Sprintf("WARNINGS: %d", t.warnings)
	}
	return "OK"
}

// say adds a line to the log.
func (t *task) say(at time.Time, format string, args ...any) {
	t.log = append(t.log, at.In(t.zone).Format(time.RFC3339)+": "+fmt.Sprintf(format, args...))
}

// upid is the task's ID. It has one field more than Proxmox VE's: the number.
func (t *task) upid() backup.UPID {
	return backup.UPID(fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%08X:%s:%s:%s:",
		t.node, 0x2d1, 0x3b9, t.number, t.started.Unix(), t.kind, escape(t.worker), t.user))
}

// escape is systemd's: / becomes -, and all but letters, digits, _ and . \xNN.
func escape(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case c == '_', c == '.' && i > 0, '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

func (s *Server) task(id string) *task {
	for _, t := range s.tasks {
		if string(t.upid()) == id {
			return t
		}
	}
	return nil
}

// find finds a running task of a type and worker.
func (s *Server) find(kind, worker string) *task {
	for _, t := range s.tasks {
		if t.running() && t.kind == kind && t.worker == worker {
			return t
		}
	}
	return nil
}

// Hang makes tasks of a type that start from now on run until they are stopped.
func (s *Server) Hang(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging = append(s.hanging, kind)
}

// Unhang ends that: those that hang may end, too.
func (s *Server) Unhang(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging = slices.DeleteFunc(s.hanging, func(k string) bool { return k == kind })
	for _, t := range s.tasks {
		if t.kind == kind {
			t.open = false
		}
	}
}

// RunTask starts a task that does nothing, such as a syncjob or prunejob of the
// server's own timers, by root@pam. EndTask ends it.
func (s *Server) RunTask(kind, worker string) backup.UPID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	t := s.start(kind, worker, "root@pam")
	t.open = true
	return t.upid()
}

// EndTask ends a running task with a status: OK, WARNINGS: 1, unknown, or an error's
// text.
func (s *Server) EndTask(id backup.UPID, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if t := s.task(string(id)); t != nil && t.running() {
		t.end(s.now(), status)
	}
}

// Running counts the running tasks of a type.
func (s *Server) Running(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	n := 0
	for _, t := range s.tasks {
		if t.running() && t.kind == kind {
			n++
		}
	}
	return n
}
