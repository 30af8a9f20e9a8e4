package pbs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pbs"
	"triplicate/internal/pbs/pbstest"
)

func TestStartGCFindsTheOneThatRuns(t *testing.T) {
	s := newScene(t)
	s.longTasks("garbage_collection")
	first, err := s.StartGC(t.Context())
	s.must(err)
	second, err := s.StartGC(t.Context())
	s.must(err)
	if first != second || s.server.Count("POST", "/gc") != 1 {
		t.Errorf("%s and %s by %d requests", first, second, s.server.Count("POST", "/gc"))
	}
	if got := s.ended(first); got.State != backup.TaskOK || got.Type != "garbage_collection" || got.User != "triplicate@pbs!night" {
		t.Errorf("task %+v", got)
	}
	third, err := s.StartGC(t.Context())
	s.must(err)
	if third == first {
		t.Errorf("an ended task was found: %s", third)
	}
	// A lost answer is ErrUnclear; asking again finds what it started.
	s.ended(third)
	s.server.Fail(pbstest.Fault{Method: "POST", Path: "/gc", Late: true})
	_, err = s.StartGC(t.Context())
	wantError(t, err, backup.ErrUnclear)
	found, err := s.StartGC(t.Context())
	s.must(err)
	if s.server.Running("garbage_collection") != 1 || found == third {
		t.Errorf("%s found; %d run", found, s.server.Running("garbage_collection"))
	}
}

func TestWhatWasStartedUnderAStrangeIDIsUnclear(t *testing.T) {
	for _, body := range []string{`{"data":"started"}`, `{"data":null}`, `{"data":["x"]}`, `<html>`} {
		s := newScene(t)
		s.server.Fail(pbstest.Fault{Method: "POST", Path: "/gc", Code: 200, Text: body})
		_, err := s.StartGC(t.Context())
		wantError(t, err, backup.ErrUnclear)
	}
}

func TestStartGCAttachesToOneThatBeganMeanwhile(t *testing.T) {
	s := newScene(t)
	s.longTasks("garbage_collection")
	// The first look finds none; then the server's timer strikes.
	running := s.store.StartGC()
	s.server.Fail(pbstest.Fault{Method: "GET", Path: "/tasks", Code: 200, Text: `{"data":[]}`})
	got, err := s.StartGC(t.Context())
	s.must(err)
	if got != running {
		t.Errorf("%s, want %s", got, running)
	}
	if n := s.server.Count("POST", "/gc"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestStartGCSaysWhenItMayNotSeeTheOneThatRuns(t *testing.T) {
	s := newScene(t)
	s.server.RevokeToken("triplicate@pbs!night")
	s.must(s.server.AddToken(token, pbstest.DatastoreAdmin)) // no Audit on /system
	s.longTasks("garbage_collection")
	s.store.StartGC()
	_, err := s.StartGC(t.Context())
	wantError(t, err, backup.ErrRefused)
	if !strings.Contains(err.Error(), "Audit on /system/tasks") {
		t.Errorf("%v does not say what is missing", err)
	}
}

func TestStartVerifyOfOneBackup(t *testing.T) {
	s := newScene(t)
	b := s.nights("vm/101", 2)
	s.longTasks("verify_snapshot")
	id, err := s.StartVerify(t.Context(), &b)
	s.must(err)
	again, err := s.StartVerify(t.Context(), &b)
	s.must(err)
	other := b
	other.Time = b.Time.AddDate(0, 0, -1)
	second, err := s.StartVerify(t.Context(), &other)
	s.must(err)
	if id != again || id == second {
		t.Errorf("%s, then %s, and of another backup %s", id, again, second)
	}
	if got := s.ended(id); got.State != backup.TaskOK {
		t.Errorf("task %+v", got)
	}
	list, err := s.Backups(t.Context(), "vm/101")
	s.must(err)
	if list[0].Verified != backup.VerifiedOK {
		t.Errorf("backup %+v", list[0])
	}
	// What was verified is verified again if somebody asks for just that.
	s.store.Damage("vm/101", b.Time)
	id, err = s.StartVerify(t.Context(), &b)
	s.must(err)
	got := s.ended(id)
	if got.State != backup.TaskFailed || !strings.HasPrefix(got.Status, "verification failed") {
		t.Errorf("task %+v", got)
	}
	gone := backup.GuestBackup{Group: "vm/101", Time: start}
	_, err = s.StartVerify(t.Context(), &gone)
	wantError(t, err, backup.ErrRefused)
}

func TestStartVerifyOfAllPassesOverWhatWasVerifiedLately(t *testing.T) {
	for _, namespace := range []string{"", "lab/deep"} {
		s := newScene(t, func(c *pbs.Config) { c.Namespace = namespace })
		store := s.store.Namespace(namespace)
		for i := range 3 {
			s.must(store.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, i-3), Finished: true}))
		}
		s.longTasks("verify")
		verified := func() (n int) {
			id, err := s.StartVerify(t.Context(), nil)
			s.must(err)
			if again, err := s.StartVerify(t.Context(), nil); again != id || err != nil {
				t.Errorf("%q: %s, then %s (%v)", namespace, id, again, err)
			}
			s.ended(id)
			log, err := s.TaskLog(t.Context(), id, 0)
			s.must(err)
			for _, l := range log.Lines {
				if strings.Contains(l, "  check ") {
					n++
				}
			}
			return n
		}
		for _, step := range []struct{ days, want int }{{0, 3}, {29, 0}, {2, 3}} {
			s.advance(time.Duration(step.days) * 24 * time.Hour)
			if got := verified(); got != step.want {
				t.Errorf("%q: after %d days %d verified, want %d", namespace, step.days, got, step.want)
			}
		}
	}
}

func TestATasksEndIsWhatItsStatusSays(t *testing.T) {
	s := newScene(t)
	for status, want := range map[string]backup.TaskState{
		"OK":                              backup.TaskOK,
		"WARNINGS: 3":                     backup.TaskWarnings,
		"unknown":                         backup.TaskLost,
		"abort requested - aborting task": backup.TaskInterrupted,
		"server shutdown requested - aborting task": backup.TaskInterrupted,
		"task aborted":        backup.TaskInterrupted,
		"No space left (28)":  backup.TaskFailed,
		"OK, but not so much": backup.TaskFailed,
	} {
		id := s.server.RunTask("syncjob", "remote:far:backups-vm::in")
		got, err := s.Task(t.Context(), id)
		s.must(err)
		if got.State != backup.TaskRunning || !got.Started.Equal(start) || got.User != "root@pam" {
			t.Errorf("running: %+v", got)
		}
		s.server.EndTask(id, status)
		got, err = s.Task(t.Context(), id)
		s.must(err)
		if got.State != want || got.Status != status {
			t.Errorf("%s: %+v, want %s", status, got, want)
		}
	}
	for _, id := range []backup.UPID{
		"", "UPID:x", "../../version",
		"UPID:smith:00000001:00000001:6740A1B2:vzdump:101:root@pam:", // of Proxmox VE
		"UPID:pbs:000002D1:000003B9:00000001:6740A1B2:verify:a/b:root@pam:",
	} {
		if _, err := s.Task(t.Context(), id); err == nil {
			t.Errorf("%q passes for a UPID", id)
		}
	}
	_, err := s.Task(t.Context(), "UPID:pbs:000002D1:000003B9:00009999:6740A1B2:verify:gone:root@pam:")
	wantError(t, err, backup.ErrRefused)
}

func TestALogIsReadInPagesWithoutGapOrRepeat(t *testing.T) {
	s := newScene(t)
	var want int
	for range 400 { // 4 lines each, and 4 more
		b := backup.GuestBackup{Group: "vm/101", Time: start.Add(-time.Duration(want) * time.Hour), Finished: true}
		s.must(s.store.Add(b))
		want++
	}
	id, err := s.StartVerify(t.Context(), nil)
	s.must(err)
	s.ended(id)
	var lines []string
	pages := 0
	for from := 0; ; pages++ {
		log, err := s.TaskLog(t.Context(), id, from)
		s.must(err)
		if log.Next != from+len(log.Lines) {
			t.Fatalf("%d lines from %d, next %d", len(log.Lines), from, log.Next)
		}
		lines = append(lines, log.Lines...)
		if from = log.Next; from == log.Total {
			break
		}
	}
	if len(lines) != 4*400+4 || pages != 3 {
		t.Errorf("%d lines on %d pages", len(lines), pages+1)
	}
	if !strings.HasSuffix(lines[len(lines)-1], "TASK OK") {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
	past, err := s.TaskLog(t.Context(), id, len(lines))
	s.must(err)
	if len(past.Lines) != 0 || past.Next != len(lines) || past.Total != len(lines) {
		t.Errorf("past the end: %+v", past)
	}
}

func TestStopTask(t *testing.T) {
	s := newScene(t)
	s.server.Hang("garbage_collection")
	id, err := s.StartGC(t.Context())
	s.must(err)
	s.advance(100 * time.Hour)
	task, err := s.Task(t.Context(), id)
	s.must(err)
	if task.Ended() {
		t.Fatalf("%+v does not hang", task)
	}
	for range 2 { // one that has ended is left alone
		s.must(s.StopTask(t.Context(), id))
	}
	if task, err = s.Task(t.Context(), id); err != nil || task.State != backup.TaskInterrupted {
		t.Errorf("%+v, %v", task, err)
	}
	if n := s.server.Count("DELETE", "/{upid}"); n != 1 {
		t.Errorf("%d requests", n)
	}
	s.server.Fail(pbstest.Fault{Method: "DELETE", Late: true})
	id, err = s.StartGC(t.Context())
	s.must(err)
	wantError(t, s.StopTask(t.Context(), id), backup.ErrUnclear)
	s.must(s.StopTask(t.Context(), id))
}

func TestADeadServersTasksAreLost(t *testing.T) {
	s := newScene(t)
	s.longTasks("garbage_collection")
	id, err := s.StartGC(t.Context())
	s.must(err)
	s.must(s.store.Begin("vm/101", start))
	s.server.SetDown(true)
	s.server.SetDown(false)
	task, err := s.Task(t.Context(), id)
	s.must(err)
	if task.State != backup.TaskLost {
		t.Errorf("task %+v", task)
	}
	list, err := s.Backups(t.Context(), "")
	s.must(err)
	if !slices.ContainsFunc(list, func(b backup.GuestBackup) bool { return !b.Finished }) {
		t.Errorf("no half backup in %v", list)
	}
	if state, err := s.State(t.Context()); err != nil || !state.Idle() {
		t.Errorf("state %+v, %v", state, err)
	}
}
