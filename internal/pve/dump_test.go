package pve_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pve/pvetest"
)

func TestStartDumpSaysEverything(t *testing.T) {
	s := newScene(t, nil)
	id := s.start(t, 110)
	if id.Node() != "jones" {
		t.Errorf("upid %s, want one of jones", id)
	}
	journal := s.Journal()
	got := journal[len(journal)-1]
	got.From = ""
	want := pvetest.Request{
		At: s.Time(), Node: "smith", Method: "POST", Path: "/nodes/jones/vzdump", Token: "triplicate@pve!backup", Code: 200,
		Form: map[string][]string{
			"vmid": {"110"}, "storage": {"pbs-smith"}, "mode": {"snapshot"}, "remove": {"0"}, "protected": {"0"}, "lockwait": {"10"},
			"notes-template":    {"{{guestname}} triplicate-run=night-20261122T010000Z"},
			"notification-mode": {"legacy-sendmail"}, "mailnotification": {"failure"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
}

// Proxmox VE closes idle connections after seconds. A reading request on such a
// one is sent again; a POST would be one whose answer is lost.
func TestAPostHasAConnectionOfItsOwn(t *testing.T) {
	s := newScene(t, nil)
	s.start(t, 101)
	s.start(t, 105)
	from := map[string]string{}
	for _, r := range s.Journal() {
		if with := from[r.From]; with == "POST" || with != "" && r.Method == "POST" {
			t.Errorf("a %s went over the connection of a %s", r.Method, with)
		}
		from[r.From] = r.Method
	}
}

func TestANightOfOneGuest(t *testing.T) {
	for _, vmid := range []int{101, 105} {
		t.Run(fmt.Sprint(vmid), func(t *testing.T) {
			s := newScene(t, nil)
			for night := range 2 { // the second is incremental
				d := s.dump(t, vmid)
				d.Key = fmt.Sprintf("night-%d", night)
				id, err := s.StartDump(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				var log backup.DumpLog
				from, polls, middle := 0, 0, false
				for ; polls < 200; polls++ {
					task := s.task(t, id)
					part, err := s.TaskLog(t.Context(), id, from)
					if err != nil {
						t.Fatal(err)
					}
					if polls == 0 && !backup.HasKey(strings.Join(part.Lines, "\n"), d.Key) {
						t.Errorf("the key is not in the log's first lines: %q", part.Lines)
					}
					from = part.Next
					log.Add(part.Lines...)
					middle = middle || !task.Ended() && log.Bytes > 0
					if task.Ended() && part.Next == part.Total {
						break
					}
					if lock := s.guest(t, vmid).Lock; lock != "backup" {
						t.Errorf("lock %q while it runs, want backup", lock)
					}
					s.Advance(2 * time.Second)
				}
				b := s.Backups()
				if len(b) != night+1 || b[night].ID() != log.Snapshot || b[night].Notes != d.Guest.Name+" "+backup.KeyNote(d.Key) {
					t.Fatalf("backups %+v, the log names %s", b, log.Snapshot)
				}
				if task := s.task(t, id); task.State != backup.TaskOK || task.Status != "OK" || task.User != "triplicate@pve!backup" || task.Type != "vzdump" {
					t.Errorf("task %+v", task)
				}
				if !middle && (night == 0 || vmid == 105) {
					t.Error("no progress was seen")
				}
				if log.Percent != 100 || log.Failed != "" || !log.Ended || (log.Reused > 0) != (night > 0) {
					t.Errorf("night %d: %+v", night, log)
				}
				if got := s.guest(t, vmid).Lock; got != "" {
					t.Errorf("lock %q after it", got)
				}
			}
		})
	}
}

func TestStartDumpOfAGuestThatMoved(t *testing.T) {
	s := newScene(t, nil)
	s.Fail(pvetest.Fault{Method: "POST", Path: "/nodes/*/vzdump", Do: func(c *pvetest.Cluster) { c.Move(101, "brown") }})
	if id, err := s.StartDump(t.Context(), s.dump(t, 101)); !errors.Is(err, backup.ErrGuestMoved) {
		t.Fatalf("upid %q, error %v; want ErrGuestMoved", id, err)
	}
	if id := s.start(t, 101); id.Node() != "brown" {
		t.Errorf("the second try, with the new node, started %s", id)
	}
}

func TestStartDumpRefusesWhatItMustNotSend(t *testing.T) {
	s := newScene(t, nil)
	for name, change := range map[string]func(*backup.Dump){
		"no vmid":             func(d *backup.Dump) { d.Guest.VMID = 0 },
		"a node with a slash": func(d *backup.Dump) { d.Guest.Node = "smith/../jones" },
		"no node":             func(d *backup.Dump) { d.Guest.Node = "" },
		"storage":             func(d *backup.Dump) { d.Storage = "a b" },
		"no key":              func(d *backup.Dump) { d.Key = "" },
		"a key with a space":  func(d *backup.Dump) { d.Key = "a b" },
		"a key with braces":   func(d *backup.Dump) { d.Key = "{{vmid}}" },
	} {
		d := s.dump(t, 101)
		change(&d)
		if id, err := s.StartDump(t.Context(), d); err == nil {
			t.Errorf("%s: started %s", name, id)
		}
	}
	if n := s.Count("POST", "."); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestDumps(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) { cfg.Rate = 1 << 30 })
	begin := s.Time()
	first := s.start(t, 101)
	s.Advance(time.Hour)
	foreign := s.StartVzdump("smith", "root@pam", 101)
	s.StartVzdump("smith", "root@pam", 105)
	s.StartVzdump("smith", "root@pam", 101, 105) // its UPID names no guest
	list := func(since time.Time) []backup.Task {
		t.Helper()
		got, err := s.Dumps(t.Context(), "smith", 101, since)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []backup.Task{
		{UPID: foreign, Type: "vzdump", Started: begin.Add(time.Hour), User: "root@pam", State: backup.TaskRunning},
		{UPID: first, Type: "vzdump", Started: begin, User: "triplicate@pve!backup", State: backup.TaskOK, Status: "OK"},
	}
	if diff := cmp.Diff(want, list(begin)); diff != "" {
		t.Errorf("running and ended ones (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:1], list(begin.Add(time.Minute))); diff != "" {
		t.Errorf("since a minute later (-want +got):\n%s", diff)
	}
	s.RotateTasks("smith")
	if diff := cmp.Diff(want, list(begin)); diff != "" {
		t.Errorf("after one rotation (-want +got):\n%s", diff)
	}
	s.RotateTasks("smith")
	if diff := cmp.Diff(want[:1], list(begin)); diff != "" {
		t.Errorf("after two the oldest are gone (-want +got):\n%s", diff)
	}
	if got, err := s.Dumps(t.Context(), "jones", 101, begin); err != nil || len(got) != 0 {
		t.Errorf("another node: %v, error %v", got, err)
	}
}

// A task that ends between two readings of the server is listed twice.
func TestDumpsListsATaskOnce(t *testing.T) {
	s := newScene(t, nil)
	id := "UPID:smith:000003E9:000186A0:6A112233:vzdump:101:root@pam:"
	other := "UPID:smith:000003EA:000186A0:6A112233:vzdump:105:root@pam:"
	s.Fail(pvetest.Fault{Path: "/nodes/smith/tasks", Code: 200, Body: fmt.Sprintf(
		`{"data":[{"upid":%q,"status":"RUNNING"},{"upid":%q,"status":"OK","endtime":1779000000},{"upid":%q,"status":"OK","endtime":1}]}`, id, id, other)})
	got, err := s.Dumps(t.Context(), "smith", 101, time.Unix(0, 0))
	if err != nil || len(got) != 1 || got[0].State != backup.TaskOK {
		t.Errorf("dumps %v, error %v; want one that is done", got, err)
	}
	s.Fail(pvetest.Fault{Path: "/nodes/smith/tasks", Code: 200, Body: `{"data":[{"upid":"UPID:smith/..:1","status":"OK"}]}`})
	if got, err := s.Dumps(t.Context(), "smith", 101, time.Unix(0, 0)); err == nil {
		t.Errorf("a row without a upid gave %v", got)
	}
}
