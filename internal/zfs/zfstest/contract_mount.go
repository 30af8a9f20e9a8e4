package zfstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

// mounted mounts a snapshot until the test ends, unless it is unmounted before.
func mounted(t *testing.T, s Scene, snap backup.Snapshot) (dir string, unmount func()) {
	t.Helper()
	dir, undo, err := s.ZFS().MountSnapshot(t.Context(), snap)
	check(t, err, nil)
	unmount = func() {
		t.Helper()
		check(t, undo(), nil)
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// read is a file's content in a snapshot.
func read(t *testing.T, s Scene, snap backup.Snapshot, file string) string {
	t.Helper()
	dir, unmount := mounted(t, s, snap)
	defer unmount()
	data, err := os.ReadFile(filepath.Join(dir, file))
	check(t, err, nil)
	return string(data)
}

// shows says whether a snapshot is mounted, as a listing sees it.
func shows(t *testing.T, s Scene, snap backup.Snapshot) bool {
	t.Helper()
	facts, err := s.ZFS().Facts(t.Context(), snap.String())
	check(t, err, nil)
	if len(facts) != 1 {
		t.Fatalf("facts of %s = %+v", snap, facts)
	}
	return facts[0].Mounted
}

func testMounted(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	one, two := take(t, s, a, "1"), take(t, s, a, "2")
	unmount := s.Mount(one.String())
	if !shows(t, s, one) || shows(t, s, two) {
		t.Error("want @1 shown as mounted, @2 not")
	}
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), backup.ErrBusy)
	unmount()
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), nil)
}

// listing is a tree as a walk sees it: mode, time, size or target, content.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		line := []string{strings.TrimPrefix(path, dir), info.Mode().String(), info.ModTime().UTC().Format(time.RFC3339Nano)}
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line = append(line, string(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line = append(line, target)
		}
		lines = append(lines, strings.Join(line, " "))
		return nil
	}), nil)
	return lines
}

// testSeen: what an offsite walk looks at comes back from the source's snapshot
// and from the replica's, whatever was done to the live files since.
func testSeen(t *testing.T, s Scene) {
	a, b, one := replicated(t, s)
	var want []string
	s.Edit(a, func(dir string) {
		must := func(err error) { t.Helper(); check(t, err, nil) }
		in := func(name string) string { return filepath.Join(dir, name) }
		must(os.MkdirAll(in("two words/ empty"), 0o750))
		must(os.WriteFile(in("two words/secret"), []byte("x"), 0o600))
		must(os.Chmod(in("two words/secret"), 0o640|fs.ModeSetgid))
		must(os.WriteFile(in("new\nline"), nil, 0o644))
		must(os.Symlink("../nowhere", in("link")))
		at := time.Date(2001, 2, 3, 4, 5, 6, 123456789, time.UTC)
		must(os.Chtimes(in("two words/secret"), at, at))
		must(os.Chtimes(in("two words"), at, at))
		want = listing(t, dir)
	})
	two := take(t, s, a, "2")
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: two, From: &one, Type: backup.Filesystem, Target: b}, nil), nil)
	s.WriteFile(a, "f", "changed later")
	s.Edit(a, func(dir string) {
		check(t, os.WriteFile(filepath.Join(dir, "two words/secret"), []byte("y"), 0), nil)
		check(t, os.Remove(filepath.Join(dir, "link")), nil)
	})
	for _, snap := range []backup.Snapshot{two, find(t, s, b, "2")} {
		dir, unmount := mounted(t, s, snap)
		if diff := cmp.Diff(want, listing(t, dir)); diff != "" {
			t.Errorf("%s is not what was written (-want +got):\n%s", snap, diff)
		}
		unmount()
	}
	if got := read(t, s, one, "f"); got != "one" {
		t.Errorf("%s holds %q", one, got)
	}
}

func testShared(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", "one")
	one := take(t, s, a, "1")
	dir, leave := mounted(t, s, one)
	same, last := mounted(t, s, one)
	if dir != same || !strings.HasPrefix(filepath.Base(dir), one.GUID.String()) {
		t.Errorf("mounted on %s and %s, want one folder named by guid %s", dir, same, one.GUID)
	}
	for range 2 {
		leave() // a second call does nothing
		if _, err := os.Stat(filepath.Join(dir, "f")); err != nil || !shows(t, s, one) {
			t.Errorf("it was unmounted under its second user: %v", err)
		}
	}
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one}), backup.ErrBusy)
	last()
	if _, err := os.Lstat(dir); err == nil || shows(t, s, one) {
		t.Errorf("%s is still there after its last user", dir)
	}
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one}), nil)
}

func testMountGUID(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	one := take(t, s, a, "1")
	s.Destroy(one.String())
	_, _, err := s.ZFS().MountSnapshot(t.Context(), one)
	check(t, err, backup.ErrNotFound)
	anew := take(t, s, a, "1")
	_, _, err = s.ZFS().MountSnapshot(t.Context(), one)
	check(t, err, backup.ErrChanged)
	if shows(t, s, anew) {
		t.Error("it is mounted all the same")
	}
}

// testUnmounted: trap 4. A replica's snapshot has its source's GUID; both can be
// looked at at once.
func testUnmounted(t *testing.T, s Scene) {
	a, b, one := replicated(t, s)
	if !s.DotZFS(one.String()) || s.DotZFS(b+"@1") {
		t.Error("want .zfs/snapshot/1 on the mounted source only")
	}
	copied := find(t, s, b, "1")
	s.WriteFile(a, "f", "two")
	x, unmount := mounted(t, s, one)
	y, _ := mounted(t, s, copied)
	if x == y {
		t.Errorf("both are mounted on %s", x)
	}
	unmount()
	if shows(t, s, one) || !shows(t, s, copied) {
		t.Error("want the source's unmounted, the replica's still mounted")
	}
	if got := read(t, s, copied, "f"); got != "one" {
		t.Errorf("the replica's snapshot holds %q", got)
	}
	if only(t, s, b).Mounted {
		t.Error("the replica itself was mounted")
	}
}

func testNoMount(t *testing.T, s Scene) {
	e, v := s.Source("e"), s.Source("v")
	s.MkEncrypted(e)
	s.WriteFile(e, "f", "sealed")
	s.MkVolume(v)
	sealed, volume := take(t, s, e, "1"), take(t, s, v, "1")
	if got := read(t, s, sealed, "f"); got != "sealed" {
		t.Errorf("with its key it holds %q", got)
	}
	s.UnloadKey(e)
	_, _, err := s.ZFS().MountSnapshot(t.Context(), sealed)
	check(t, err, backup.ErrKeyUnavailable)
	if _, _, err := s.ZFS().MountSnapshot(t.Context(), volume); err == nil {
		t.Error("a volume was mounted")
	}
}

func testLeft(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", "one")
	one, two, three := take(t, s, a, "1"), take(t, s, a, "2"), take(t, s, a, "3")
	check(t, s.ZFS().ReapMounts(t.Context()), nil) // nothing there
	s.Leave(one)
	s.Leave(two)
	if got := read(t, s, one, "f"); got != "one" {
		t.Errorf("a leftover holds %q", got)
	}
	if shows(t, s, one) || !shows(t, s, two) {
		t.Error("want the leftover that was used unmounted, the other not yet")
	}
	_, unmount := mounted(t, s, three)
	for range 2 {
		check(t, s.ZFS().ReapMounts(t.Context()), nil)
		if shows(t, s, two) || !shows(t, s, three) {
			t.Error("want what is left unmounted, what is in use not")
		}
	}
	unmount()
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two, three}), nil)
}
