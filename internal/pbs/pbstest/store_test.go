package pbstest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

func TestABackupIsAWriterUntilItIsSavedOrAborted(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	writers := func() (n int) {
		var ops struct{ Write int }
		b.data("GET", smith+"/active-operations", nil, &ops)
		return ops.Write
	}
	b.must(b.store.Begin("vm/101", start))
	if w, r := writers(), b.Running("backup"); w != 1 || r != 1 {
		t.Errorf("%d writers and %d tasks, want 1 and 1", w, r)
	}
	if list := b.store.Backups(); len(list) != 1 || list[0].Finished {
		t.Errorf("begun: %+v", list)
	}
	if n, err := Check(b.store.data.Dir); n != 0 || err != nil {
		t.Errorf("%d finished backups in the folder, %v", n, err)
	}
	b.must(b.store.Save(backup.GuestBackup{Group: "vm/101", Time: start, Notes: "web triplicate-run=k"}))
	list := b.store.Backups()
	want := backup.GuestBackup{Group: "vm/101", Time: start, Notes: "web triplicate-run=k", Owner: owner, Finished: true, Size: list[0].Size}
	if diff := cmp.Diff([]backup.GuestBackup{want}, list); diff != "" || want.Size == 0 {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	b.must(b.store.Begin("vm/101", start.Add(time.Hour)))
	b.store.Abort("vm/101", start.Add(time.Hour))
	b.store.Abort("vm/101", start.Add(time.Hour))
	if w, r := writers(), b.Running("backup"); w != 0 || r != 0 || len(b.store.Backups()) != 1 {
		t.Errorf("%d writers, %d tasks, %d backups", w, r, len(b.store.Backups()))
	}
	if n, err := Check(b.store.data.Dir); n != 1 || err != nil {
		t.Errorf("%d finished backups in the folder, %v", n, err)
	}
	for _, name := range []string{
		"vm/101/owner", "vm/101/2026-11-22T12:00:00Z/index.json.blob", "vm/101/2026-11-22T12:00:00Z/drive-scsi0.img.fidx",
	} {
		if _, err := os.Stat(filepath.Join(b.store.data.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	b.clean()
}

func TestABackupIsRefusedInTheServersWords(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*bench)
		text string
		is   error
	}{
		"down":      {func(b *bench) { b.SetDown(true) }, "connection refused", backup.ErrUnreachable},
		"full":      {func(b *bench) { b.store.SetFull(true) }, "No space left on device", backup.ErrNoSpace},
		"read-only": {func(b *bench) { b.store.SetMaintenance("read-only", "offsite sync") }, "read-only maintenance mode: offsite sync", nil},
		"offline":   {func(b *bench) { b.store.SetMaintenance("offline", "x") }, "offline maintenance mode: x", nil},
		"in use":    {func(b *bench) { b.must(b.store.Begin("vm/101", start.Add(-time.Hour))) }, "group is in use", nil},
		"older than the last": {func(b *bench) {
			b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
		}, "backup timestamp is older than last backup.", nil},
		"half of it is there": {func(b *bench) {
			b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start}))
		}, "backup directory already exists.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, Datastore{})
			test.set(b)
			err := b.store.Begin("vm/101", start)
			if err == nil || !strings.Contains(err.Error(), test.text) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v, want %q", err, test.text)
			}
			if name != "in use" {
				if err := b.store.Save(backup.GuestBackup{Group: "vm/101", Time: start}); err == nil {
					t.Error("what was not begun is saved")
				}
			}
		})
	}
}

func TestWhatFillsUpWhileABackupRunsFailsIt(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	b.must(b.store.Begin("ct/105", start))
	b.store.SetMaintenance("read-only", "") // what runs may end
	b.must(b.store.Save(backup.GuestBackup{Group: "ct/105", Time: start}))
	b.store.SetMaintenance("", "")
	b.must(b.store.Begin("ct/105", start.Add(time.Hour)))
	b.store.SetFull(true)
	if err := b.store.Save(backup.GuestBackup{Group: "ct/105", Time: start.Add(time.Hour)}); !errors.Is(err, backup.ErrNoSpace) {
		t.Errorf("error %v", err)
	}
	if n, err := Check(b.store.data.Dir); n != 1 || len(b.store.Backups()) != 1 || err != nil {
		t.Errorf("%d in the folder, %d listed, %v", n, len(b.store.Backups()), err)
	}
	small := newBench(t, Config{}, Datastore{Size: 16 << 10})
	small.must(small.store.Begin("vm/101", start)) // 12 blocks of 2 KiB at least
	if err := small.store.Save(backup.GuestBackup{Group: "vm/101", Time: start}); !errors.Is(err, backup.ErrNoSpace) {
		t.Errorf("error %v", err)
	}
}

// gc runs garbage collection to its end and gives its numbers.
func (b *bench) gc() (g gcStatus) {
	b.t.Helper()
	var upid string
	b.data("POST", smith+"/gc", nil, &upid)
	b.data("GET", smith+"/gc", nil, &g)
	if g.UPID != backup.UPID(upid) {
		b.t.Fatalf("%s has not ended", upid)
	}
	return g
}

func (b *bench) files() (n int) {
	b.t.Helper()
	err := filepath.WalkDir(filepath.Join(b.store.data.Dir, ".chunks"), func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	b.must(err)
	return n
}

func TestGarbageGoesADayAfterItWasLastNeeded(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	for i := range 10 {
		b.must(b.store.Begin("vm/101", b.now()))
		b.must(b.store.Save(backup.GuestBackup{Group: "vm/101", Time: b.now()}))
		if i == 0 && b.files() != diskBlocks {
			t.Fatalf("%d chunks of the first backup", b.files())
		}
		b.advance(time.Hour)
	}
	chunks := diskBlocks + 9*diskChanging
	g := b.gc()
	if g.DiskChunks != chunks || g.IndexFiles != 10 || g.RemovedChunks+g.PendingChunks != 0 || b.files() != chunks {
		t.Errorf("with all backups: %+v, %d files", g, b.files())
	}
	var rows []any
	b.data("POST", smith+"/prune", values("backup-type=vm", "backup-id=101", "keep-last=1"), &rows)
	b.advance(time.Hour)
	g = b.gc()
	dead := chunks - diskBlocks
	if g.PendingChunks != dead || g.RemovedChunks != 0 || g.DiskChunks != diskBlocks || b.files() != chunks {
		t.Errorf("after prune: %+v, %d files", g, b.files())
	}
	b.advance(24 * time.Hour)
	if g = b.gc(); g.PendingChunks != 0 || g.RemovedChunks != dead || b.files() != diskBlocks {
		t.Errorf("a day later: %+v, %d files", g, b.files())
	}
	if n, err := Check(b.store.data.Dir); n != 1 || err != nil {
		t.Errorf("%d backups are whole, %v", n, err)
	}
	if used := b.store.data.used(); used != g.DiskBytes || g.DiskBytes != g.IndexBytes {
		t.Errorf("%d bytes used of %+v", used, g)
	}
	b.clean()
}

func TestARunningBackupKeepsItsChunksFromTheSweep(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	b.must(b.store.Begin("vm/101", start))
	b.advance(72 * time.Hour)
	if g := b.gc(); g.RemovedChunks != 0 || b.files() != diskBlocks {
		t.Errorf("%+v", g)
	}
	b.must(b.store.Save(backup.GuestBackup{Group: "vm/101", Time: start}))
	if n, err := Check(b.store.data.Dir); n != 1 || err != nil {
		t.Errorf("%d backups are whole, %v", n, err)
	}
}

func TestGuestsShareWhatTheyHaveInCommon(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	for _, group := range []string{"vm/101", "vm/102", "ct/105"} {
		b.must(b.store.Add(backup.GuestBackup{Group: group, Time: start, Finished: true}))
	}
	if got, want := len(b.store.data.chunks), 3*diskBlocks-2; got != want {
		t.Errorf("%d chunks, want %d", got, want)
	}
}

func TestVerifyFindsWhatIsDamaged(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	for i := range 3 {
		b.must(b.store.Add(backup.GuestBackup{Group: "ct/105", Time: start.AddDate(0, 0, -i), Finished: true}))
	}
	b.store.Damage("ct/105", start)
	if _, err := Check(b.store.data.Dir); err == nil {
		t.Error("the folder passes for whole")
	}
	var upid string
	b.data("POST", smith+"/verify", nil, &upid)
	var task struct{ ExitStatus string }
	b.data("GET", "/nodes/localhost/tasks/"+upid+"/status", nil, &task)
	var states []string
	for _, s := range b.store.Backups() {
		states = append(states, s.Verified)
	}
	if diff := cmp.Diff([]string{"ok", "ok", "failed"}, states); diff != "" || !strings.HasPrefix(task.ExitStatus, "verification failed") {
		t.Errorf("%s, states (-want +got):\n%s", task.ExitStatus, diff)
	}
	m, err := readManifest(filepath.Join(b.store.data.Dir, "ct/105/2026-11-22T12:00:00Z"))
	if err != nil || m.Loose.Verify == nil {
		t.Errorf("the verdict is not in the manifest: %+v, %v", m, err)
	}
	b.clean()
}

func TestVerifyPassesOverARunningBackupButNotOverHalfAOne(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, -1), Finished: true}))
	b.must(b.store.Begin("vm/101", start))
	status := func() string {
		var upid string
		b.data("POST", smith+"/verify", nil, &upid)
		var task struct{ ExitStatus string }
		b.data("GET", "/nodes/localhost/tasks/"+upid+"/status", nil, &task)
		return task.ExitStatus
	}
	if got := status(); got != "OK" {
		t.Errorf("with a running backup: %s", got)
	}
	b.SetDown(true)
	b.SetDown(false)
	if got := status(); got == "OK" {
		t.Error("half a backup passes for verified")
	}
	b.clean()
}

func TestAProtectedBackupIsProtectedInTheFolderToo(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, -1), Finished: true}))
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
	path := filepath.Join(b.store.data.Dir, "vm/101/2026-11-21T12:00:00Z/.protected")
	form := values("backup-type=vm", "backup-id=101", "backup-time=1795262400", "protected=1")
	for _, want := range []int{2, 1} {
		b.data("PUT", smith+"/protected", form, new(any))
		if _, err := os.Stat(path); (err == nil) != (want == 2) {
			t.Errorf("protected file: %v", err)
		}
		b.data("POST", smith+"/prune", values("backup-type=vm", "backup-id=101", "keep-last=1"), new(any))
		if got := len(b.store.Backups()); got != want {
			t.Errorf("%d backups are left, want %d", got, want)
		}
		form.Set("protected", "0")
	}
	b.clean()
}

func TestManyAtOnce(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	var all sync.WaitGroup
	for _, group := range []string{"vm/101", "vm/102", "ct/105", "ct/106"} {
		all.Go(func() {
			for i := range 5 {
				at := start.Add(time.Duration(i) * time.Hour)
				if err := b.store.Begin(group, at); err != nil {
					t.Error(err)
				}
				b.advance(time.Minute)
				if err := b.store.Save(backup.GuestBackup{Group: group, Time: at}); err != nil {
					t.Error(err)
				}
				b.ask(admin, "POST", smith+"/gc", nil)
				b.ask(admin, "GET", "/nodes/localhost/tasks", nil)
			}
		})
	}
	all.Wait()
	if n, err := Check(b.store.data.Dir); n != 20 || err != nil {
		t.Errorf("%d backups are whole, %v", n, err)
	}
	b.clean()
}

func TestPruneLeavesARunningBackupAndWarns(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	b.must(b.store.Begin("vm/101", start))
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start.Add(time.Hour), Finished: true}))
	var upid string
	b.data("POST", smith+"/prune", values("backup-type=vm", "backup-id=101", "keep-last=1", "use-task=1"), &upid)
	var task struct{ ExitStatus string }
	b.data("GET", "/nodes/localhost/tasks/"+upid+"/status", nil, &task)
	if task.ExitStatus != "WARNINGS: 1" || len(b.store.Backups()) != 2 {
		t.Errorf("%s, %d backups", task.ExitStatus, len(b.store.Backups()))
	}
	b.must(b.store.Save(backup.GuestBackup{Group: "vm/101", Time: start}))
}

func TestNamespacesHaveFoldersOfTheirOwn(t *testing.T) {
	b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
	b.must(b.store.Namespace("lab/deep").Add(backup.GuestBackup{Group: "ct/105", Time: start, Finished: true}))
	if _, err := os.Stat(filepath.Join(b.store.data.Dir, "ns/lab/ns/deep/ct/105/2026-11-22T12:00:00Z", manifestName)); err != nil {
		t.Error(err)
	}
	if n, err := Check(b.store.data.Dir); n != 1 || err != nil {
		t.Errorf("%d backups are whole, %v", n, err)
	}
	b.data("POST", smith+"/prune-datastore", values("keep-daily=1", "max-depth=1"), new(any))
	b.data("POST", smith+"/verify", values("max-depth=1"), new(any))
	if got := b.store.Namespace("lab/deep").Backups()[0].Verified; got != "" {
		t.Errorf("one level too deep: %s", got)
	}
	b.data("POST", smith+"/verify", nil, new(any))
	b.data("GET", "/version", nil, new(any))
	if got := b.store.Namespace("lab/deep").Backups()[0].Verified; got != backup.VerifiedOK {
		t.Errorf("not deep enough: %q", got)
	}
	b.clean()
}

func TestCheckFindsALostAndAChangedChunk(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"lost":    os.Remove,
		"changed": func(path string) error { return os.WriteFile(path, []byte("other"), 0o600) },
	} {
		b := newBench(t, Config{}, Datastore{Dir: t.TempDir()})
		b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
		b.must(harm(b.store.data.chunkPath(b.store.data.snaps[0].chunks[5])))
		if n, err := Check(b.store.data.Dir); err == nil {
			t.Errorf("%s: %d backups pass for whole", name, n)
		}
	}
}
