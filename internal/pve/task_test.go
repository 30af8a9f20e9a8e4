package pve_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pve/pvetest"
)

func TestHowATaskEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(*testing.T, *scene) // before or while it runs
		state  backup.TaskState
		status string
		failed string // in the log
		locked bool
	}{
		"well": {state: backup.TaskOK, status: "OK"},
		"with warnings": {
			do:    func(_ *testing.T, s *scene) { s.Next(101, pvetest.Outcome{Warn: []string{"unable to add notes - x"}}) },
			state: backup.TaskWarnings, status: "WARNINGS: 1",
		},
		"failing": {
			do: func(_ *testing.T, s *scene) {
				s.Next(101, pvetest.Outcome{Fail: "VM 101 qmp command 'backup' failed - got timeout"})
			},
			state: backup.TaskFailed, status: "job errors", failed: "VM 101 qmp command 'backup' failed - got timeout",
		},
		"on a locked guest": {
			do:    func(_ *testing.T, s *scene) { s.Lock(101, "snapshot") },
			state: backup.TaskFailed, status: "job errors", failed: "VM is locked (snapshot)", locked: true,
		},
		"without quorum": {
			do:    func(_ *testing.T, s *scene) { s.SetQuorate(false) },
			state: backup.TaskFailed, status: "job errors", failed: "unable to open file '/etc/pve/nodes/smith/qemu-server/101.conf.tmp.1001' - Permission denied",
		},
		"without VM.Backup, which only the task looks at": {
			do:    func(_ *testing.T, s *scene) { s.SetACL(without("VM.Backup")...) },
			state: backup.TaskFailed, status: "403 Permission check failed (/vms/101, VM.Backup)", failed: "403 Permission check failed (/vms/101, VM.Backup)",
		},
		"with a storage that is down": {
			do: func(_ *testing.T, s *scene) {
				s.SetStorage("pbs-smith", func(x *pvetest.Storage) { x.Down = []string{"smith"} })
			},
			state: backup.TaskFailed, failed: "could not activate storage 'pbs-smith': pbs-smith: error fetching datastores - 500 Can't connect to 192.0.2.9:8007 (Connection refused)",
		},
		"with a storage that prunes": {
			do: func(_ *testing.T, s *scene) {
				s.SetStorage("pbs-smith", func(x *pvetest.Storage) { x.Prune = "keep-last=1" })
				s.StartVzdump("smith", "root@pam", 101)
				s.Advance(time.Hour)
			},
			state: backup.TaskFailed, status: "job errors",
			failed: "There is a max backup limit of 1 enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups.",
		},
		"behind another one for too long": {
			do: func(_ *testing.T, s *scene) {
				s.Next(105, pvetest.Outcome{Hang: true})
				s.StartVzdump("smith", "root@pam", 105)
			},
			state: backup.TaskLost, status: "unexpected status", failed: "can't acquire lock '/var/run/vzdump.lock' - got timeout",
		},
		"killed": {
			do:    func(_ *testing.T, s *scene) { s.Next(101, pvetest.Outcome{Kill: true}) },
			state: backup.TaskLost, status: "unexpected status", locked: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			if test.do != nil {
				test.do(t, s)
			}
			id := s.start(t, 101)
			s.Advance(time.Hour)
			task := s.task(t, id)
			if task.State != test.state || test.status != "" && task.Status != test.status {
				t.Errorf("task %s (%s), want %s (%s)", task.State, task.Status, test.state, test.status)
			}
			log := backup.ParseDump(s.log(t, id))
			if log.Failed != test.failed || len(log.Warnings) > 0 != (task.State == backup.TaskWarnings) {
				t.Errorf("the log says %+v, want failed %q", log, test.failed)
			}
			if locked := s.guest(t, 101).Lock != ""; locked != test.locked {
				t.Errorf("locked = %v, want %v", locked, test.locked)
			}
			list, err := s.Dumps(t.Context(), "smith", 101, task.Started)
			if err != nil || list[0].UPID != id || list[0].State != task.State {
				t.Errorf("list %+v, error %v", list, err)
			}
		})
	}
}

func TestStopTask(t *testing.T) {
	s := newScene(t, nil)
	s.Next(101, pvetest.Outcome{Hang: true})
	id := s.start(t, 101)
	s.Advance(24 * time.Hour)
	if task := s.task(t, id); task.Ended() {
		t.Fatalf("a hung task ended: %+v", task)
	}
	for range 2 { // the second finds it ended
		if err := s.StopTask(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		s.Advance(5 * time.Second)
	}
	task := s.task(t, id)
	if task.State != backup.TaskInterrupted || s.guest(t, 101).Lock != "" {
		t.Errorf("task %+v, lock %q", task, s.guest(t, 101).Lock)
	}
	if log := backup.ParseDump(s.log(t, id)); log.Failed != "interrupted by signal" {
		t.Errorf("the log says %+v", log)
	}
	if n := s.Count("DELETE", "."); n != 1 {
		t.Errorf("%d DELETEs, want 1", n)
	}
	foreign := s.StartVzdump("smith", "root@pam", 105)
	if err := s.StopTask(t.Context(), foreign); !errors.Is(err, backup.ErrForbidden) || !strings.Contains(err.Error(), "/nodes/smith, Sys.Modify") {
		t.Errorf("another's task: %v, want ErrForbidden and the privilege", err)
	}
}

func TestARebootLosesTasksAndLeavesTheLock(t *testing.T) {
	s := newScene(t, nil)
	id, waiting := s.start(t, 101), s.StartVzdump("smith", "root@pam", 105)
	s.Reboot("smith")
	for _, id := range []backup.UPID{id, waiting} {
		if task := s.task(t, id); task.State != backup.TaskLost {
			t.Errorf("task %+v, want lost", task)
		}
	}
	if lock := s.guest(t, 101).Lock; lock != "backup" {
		t.Errorf("lock %q, want the stale backup", lock)
	}
}

func TestTaskLogInParts(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) {
		cfg.Guests = []pvetest.Guest{{VMID: 105, Type: backup.Container, Size: 1 << 40}}
		cfg.Rate = 10 << 20 // 29 hours, a line a minute
	})
	id := s.start(t, 105)
	s.Advance(30 * time.Hour)
	var lines []string
	for parts := 1; ; parts++ {
		part, err := s.TaskLog(t.Context(), id, len(lines))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, part.Lines...)
		if part.Next != len(lines) {
			t.Fatalf("next is %d after %d lines", part.Next, len(lines))
		}
		if part.Next == part.Total {
			if parts < 4 || len(lines) < 1500 {
				t.Errorf("%d lines in %d parts, want more than one", len(lines), parts)
			}
			break
		}
	}
	if last := lines[len(lines)-1]; last != "TASK OK" {
		t.Errorf("the last line is %q", last)
	}
	part, err := s.TaskLog(t.Context(), id, len(lines))
	if err != nil || part.Lines != nil || part.Next != len(lines) || part.Total != len(lines) {
		t.Errorf("past the end: %+v, error %v", part, err)
	}
}

func TestTaskLogsThatAreMadeUp(t *testing.T) {
	s := newScene(t, nil)
	id := s.start(t, 101)
	path := "/nodes/smith/tasks/*/log"
	for name, test := range map[string]struct {
		body string
		from int
		ok   bool
		want error
	}{
		"nothing yet":             {`{"data":[{"n":1,"t":"no content"}],"total":1}`, 0, true, nil},
		"nothing yet, asked late": {`{"data":[{"n":1,"t":"no content"}],"total":1}`, 7, true, nil},
		"the file is gone":        {`{"data":[{"n":1,"t":"unable to open file - No such file or directory"}],"total":1}`, 0, false, backup.ErrNotFound},
		"lines that are not next": {`{"data":[{"n":5,"t":"x"}],"total":9}`, 0, false, nil},
		"lines out of order":      {`{"data":[{"n":1,"t":"x"},{"n":3,"t":"y"}],"total":9}`, 0, false, nil},
	} {
		s.Fail(pvetest.Fault{Path: path, Code: 200, Body: test.body})
		part, err := s.TaskLog(t.Context(), id, test.from)
		if (err == nil) != test.ok || test.want != nil && !errors.Is(err, test.want) || part.Lines != nil || part.Next != test.from {
			t.Errorf("%s: %+v, error %v", name, part, err)
		}
		s.Heal()
	}
	s.Fail(pvetest.Fault{Path: path, Code: 200, Body: fmt.Sprintf(`{"data":[{"n":1,"t":"INFO:  7%% \u001b]0;x %s"}],"total":1}`, strings.Repeat("é", 9000))})
	part, err := s.TaskLog(t.Context(), id, 0)
	if err != nil || len(part.Lines) != 1 || len(part.Lines[0]) > 4200 || !strings.HasPrefix(part.Lines[0], "INFO:  7%  ]0;x é") {
		t.Errorf("a line to choke on: %d lines, error %v", len(part.Lines), err)
	}
	if _, err := s.TaskLog(t.Context(), "UPID:../..:x", 0); err == nil {
		t.Error("a upid that is none was asked for")
	}
	if _, err := s.TaskLog(t.Context(), id, -1); err == nil {
		t.Error("line -1 was asked for")
	}
}

// without is the least privileges but one.
func without(privilege string) (acl []pvetest.ACL) {
	for _, who := range []string{"triplicate@pve", "triplicate@pve!backup"} {
		for path, list := range map[string]string{"/": "Sys.Audit", "/nodes": "Sys.Audit", "/vms": "VM.Audit VM.Backup", "/storage": "Datastore.Audit Datastore.AllocateSpace"} {
			a := pvetest.ACL{Path: path, Who: who}
			for _, p := range strings.Fields(list) {
				if p != privilege {
					a.Privileges = append(a.Privileges, p)
				}
			}
			acl = append(acl, a)
		}
	}
	return acl
}
