package pbs_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pbs"
	"triplicate/internal/pbs/pbstest"
)

func TestStateIsWhatARunDependsOn(t *testing.T) {
	s := newScene(t)
	other, err := s.server.AddDatastore(pbstest.Datastore{Name: "other", GCSchedule: "hourly"})
	s.must(err)
	got, err := s.State(t.Context())
	s.must(err)
	idle := backup.DatastoreState{Version: "4.2.1", Size: 4 << 40, Available: 4 << 40}
	if diff := cmp.Diff(idle, got); diff != "" {
		t.Errorf("at rest (-want +got):\n%s", diff)
	}
	if !got.Idle() {
		t.Error("not idle at rest")
	}

	s.server.AddJob("prune", pbstest.Job{ID: "nightly", Store: "backups-vm", Schedule: "02:30"})
	s.server.AddJob("prune", pbstest.Job{ID: "old", Store: "backups-vm", Schedule: "daily", Disable: true})
	s.server.AddJob("verify", pbstest.Job{ID: "weekly", Store: "backups-vm", Schedule: "sat 05:00"})
	s.server.AddJob("verify", pbstest.Job{ID: "by-hand", Store: "backups-vm"})
	s.server.AddJob("sync", pbstest.Job{ID: "inbound", Store: "backups-vm", Schedule: "hourly"})
	s.server.AddJob("sync", pbstest.Job{ID: "elsewhere", Store: "other", Schedule: "hourly"})
	s.must(s.store.Begin("vm/101", start))
	s.must(other.Begin("vm/999", start))
	s.longTasks("garbage_collection")
	s.longTasks("verify")
	_, err = s.StartGC(t.Context())
	s.must(err)
	_, err = s.StartVerify(t.Context(), nil)
	s.must(err)
	s.server.RunTask("syncjob", "remote:far:backups-vm::inbound")
	s.server.RunTask("prunejob", "backups-vm:ns")
	s.server.RunTask("syncjob", "remote:backups-vm:other::elsewhere")
	s.store.SetMaintenance("read-only", "offsite, type=offline")
	got, err = s.State(t.Context())
	s.must(err)
	want := backup.DatastoreState{
		Version: "4.2.1", Maintenance: "read-only", Size: 4 << 40, Available: got.Available, Writers: 4,
		Busy: []string{"backup vm/101", "garbage_collection", "prunejob ns", "syncjob remote:far:backups-vm::inbound"},
		Timers: []string{
			"prune job nightly (02:30)", "verify job weekly (sat 05:00)", "sync job inbound (hourly)",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("at work (-want +got):\n%s", diff)
	}
	if got.Idle() || got.Available >= got.Size {
		t.Errorf("idle at work, or nothing used: %+v", got)
	}
}

func TestAnOfflineDatastoreIsAStateNotAnError(t *testing.T) {
	s := newScene(t)
	s.store.SetMaintenance("offline", "")
	got, err := s.State(t.Context())
	s.must(err)
	want := backup.DatastoreState{Version: "4.2.1", Maintenance: "offline"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestTheTimerOfGarbageCollectionIsATimer(t *testing.T) {
	s := newScene(t)
	_, err := s.server.AddDatastore(pbstest.Datastore{Name: "second", GCSchedule: "daily", Size: 1 << 30})
	s.must(err)
	got, err := s.client(func(c *pbs.Config) { c.Datastore = "second" }).State(t.Context())
	s.must(err)
	want := backup.DatastoreState{Version: "4.2.1", Size: 1 << 30, Available: 1 << 30, Timers: []string{"garbage collection (daily)"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestBackupsAreListedNewestFirst(t *testing.T) {
	s := newScene(t)
	s.nights("vm/101", 2)
	s.nights("ct/105", 1)
	s.must(s.store.Begin("vm/101", start))
	s.must(s.store.Namespace("lab").Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
	verified := backup.GuestBackup{
		Group: "vm/102", Time: start.Add(-48 * time.Hour), Finished: true, Size: 7, Protected: true,
		Verified: backup.VerifiedFailed, Owner: "root@pam", Notes: "first\nsecond",
	}
	s.must(s.store.Add(verified))
	const owner, notes = "pve@pbs!backup", "web triplicate-run=smith-1"
	at := func(day int) time.Time { return time.Date(2026, 11, day, 1, 0, 3, 0, time.UTC) }
	old := []backup.GuestBackup{
		{Group: "vm/101", Time: start, Owner: owner}, // half a backup has neither size nor notes
		{Group: "vm/101", Time: at(22), Owner: owner, Notes: notes, Size: 4096, Finished: true},
		{Group: "vm/101", Time: at(21), Owner: owner, Notes: notes, Size: 4096, Finished: true},
	}
	verified.Notes = "first" // the server gives the first line
	for name, test := range map[string]struct {
		group string
		want  []backup.GuestBackup
	}{
		"of one guest": {"vm/101", old},
		"of all": {"", []backup.GuestBackup{
			old[0], {Group: "ct/105", Time: at(22), Owner: owner, Notes: notes, Size: 4096, Finished: true}, old[1], old[2], verified,
		}},
		"of a guest without any": {"vm/7", []backup.GuestBackup{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.Backups(t.Context(), test.group)
			s.must(err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("backups (-want +got):\n%s", diff)
			}
		})
	}
	got, err := s.client(func(c *pbs.Config) { c.Namespace = "lab" }).Backups(t.Context(), "")
	s.must(err)
	if len(got) != 1 || !got[0].Time.Equal(start) {
		t.Errorf("in the namespace: %v", got)
	}
	for _, group := range []string{"101", "vm/../ct", "vm/101/2026", "qemu/101", "vm/"} {
		if _, err := s.Backups(t.Context(), group); err == nil {
			t.Errorf("%q passes for a group", group)
		}
	}
}

func TestPruneGroup(t *testing.T) {
	s := newScene(t)
	s.nights("vm/101", 20)
	s.nights("ct/101", 3)
	keep := backup.Keep{Daily: 3, Weekly: 2, Monthly: 3}
	var mine []backup.GuestBackup
	for _, b := range s.store.Backups() {
		if b.Group == "vm/101" {
			mine = append(mine, b)
		}
	}
	want := backup.PBSPrune(mine, keep, time.UTC)

	dry, err := s.PruneGroup(t.Context(), "vm/101", keep, true)
	s.must(err)
	if diff := cmp.Diff(want, dry); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	if got := len(s.store.Backups()); got != 23 {
		t.Fatalf("a dry run left %d backups of 23", got)
	}
	for range 2 { // repeating it is harmless
		marks, err := s.PruneGroup(t.Context(), "vm/101", keep, false)
		s.must(err)
		if diff := cmp.Diff(dry[0], marks[0]); diff != "" {
			t.Errorf("newest (-want +got):\n%s", diff)
		}
		if got := len(s.store.Backups()); got != 3+5 { // of the VM 3 days and 2 weeks
			t.Errorf("%d backups are left, want 8", got)
		}
	}
}

func TestPruneWithoutATierIsRefusedBecauseItWouldKeepEverything(t *testing.T) {
	s := newScene(t)
	for name, keep := range map[string]backup.Keep{"none": {}, "a negative one": {Daily: -2}} {
		_, err := s.PruneGroup(t.Context(), "vm/101", keep, true)
		wantError(t, err, backup.ErrRefused)
		if n := s.server.Count("POST", "/prune"); n != 0 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

func TestATierThatKeepsAllIsANumberTheServerTakes(t *testing.T) {
	s := newScene(t)
	s.nights("vm/101", 40)
	marks, err := s.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: backup.All, Monthly: backup.All}, false)
	s.must(err)
	for _, m := range marks {
		if !m.Keep {
			t.Errorf("%s goes", m.Time)
		}
	}
}

func TestPruneInANamespaceStaysThere(t *testing.T) {
	s := newScene(t)
	s.nights("vm/101", 5)
	lab := s.store.Namespace("lab/deep")
	for i := range 5 {
		s.must(lab.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, -i), Finished: true}))
	}
	c := s.client(func(c *pbs.Config) { c.Namespace = "lab/deep" })
	marks, err := c.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 2}, true)
	s.must(err)
	if len(marks) != 5 {
		t.Errorf("%d marks, want 5", len(marks))
	}
	_, err = c.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 2}, false)
	s.must(err)
	if in, out := len(lab.Backups()), len(s.store.Backups()); in != 2 || out != 5 {
		t.Errorf("%d in the namespace and %d outside, want 2 and 5", in, out)
	}
}

func TestReadOnlyMaintenanceRefusesEvenADryRun(t *testing.T) {
	s := newScene(t)
	s.nights("vm/101", 5)
	s.store.SetMaintenance("read-only", "offsite")
	for _, dry := range []bool{true, false} {
		_, err := s.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 2}, dry)
		wantError(t, err, backup.ErrRefused)
	}
	_, err := s.StartGC(t.Context())
	wantError(t, err, backup.ErrRefused)
	_, err = s.StartVerify(t.Context(), nil) // reads
	wantError(t, err, nil)
}
