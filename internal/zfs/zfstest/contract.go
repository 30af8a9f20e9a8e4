package zfstest

import (
	"errors"
	"strings"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// Scene is a machine under contract, with two pools, and what an operator can do
// to it beside it. Names are datasets such as "a" or "a/b", put below each pool's
// own folder of the test by Source and Target.
type Scene interface {
	ZFS() activities.ZFS
	Source(name string) string // on the first pool
	Target(name string) string // on the second
	MkDataset(name string)
	MkVolume(name string)
	WriteFile(dataset, file, content string)
	Destroy(name string) // a dataset and all below it, or a snapshot
	Read(snapshot, file string) string
	// CutReceive begins the first receive of a snapshot and cuts it off, as a kill
	// does, with props set on the new target.
	CutReceive(snapshot backup.Snapshot, target string, props map[string]string)
	// Mount mounts a snapshot until the returned function is called.
	Mount(snapshot string) (unmount func())
	// MkEncrypted makes an encrypted filesystem with its key loaded; UnloadKey
	// takes the key away.
	MkEncrypted(name string)
	UnloadKey(name string)
}

// Contract is what internal/zfs promises and the fake repeats. newScene makes an
// empty scene for each test.
func Contract(t *testing.T, newScene func(t *testing.T) Scene) {
	for name, test := range map[string]func(*testing.T, Scene){
		"snapshots are taken all or none":         testAtomic,
		"a dataset's mark is inherited, not ours": testMarks,
		"destroy takes the GUID's word":           testDestroy,
		"a held snapshot saves its batch":         testHeld,
		"holds and bookmarks may be repeated":     testRepeated,
		"full, incremental, from a bookmark":      testTransfer,
		"volumes":                                 testVolume,
		"a replica that was written to":           testModified,
		"no common base":                          testDiverged,
		"what is missing":                         testMissing,
		"a cut first receive is resumed":          testResume,
		"a cut first receive is discarded":        testAbort,
		"a mounted snapshot shows":                testMounted,
		"encrypted, raw":                          testEncrypted,
	} {
		t.Run(name, func(t *testing.T) { test(t, newScene(t)) })
	}
}

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

// take takes one snapshot and returns it as the listing has it.
func take(t *testing.T, s Scene, dataset, name string) backup.Snapshot {
	t.Helper()
	check(t, s.ZFS().TakeSnapshots(t.Context(), []string{dataset + "@" + name}, map[string]string{backup.PropClass: "periodic"}), nil)
	return find(t, s, dataset, name)
}

func find(t *testing.T, s Scene, dataset, name string) backup.Snapshot {
	t.Helper()
	snaps, _, err := s.ZFS().Points(t.Context(), dataset)
	check(t, err, nil)
	for _, x := range snaps {
		if x.Dataset == dataset && x.Name == name {
			return x
		}
	}
	return backup.Snapshot{}
}

func testAtomic(t *testing.T, s Scene) {
	a, b := s.Source("a"), s.Source("b")
	s.MkDataset(a)
	s.MkDataset(b)
	z := s.ZFS()
	check(t, z.TakeSnapshots(t.Context(), []string{a + "@1", b + "@1"}, nil), nil)
	x, y := find(t, s, a, "1"), find(t, s, b, "1")
	if x.CreateTXG != y.CreateTXG || x.GUID == y.GUID {
		t.Errorf("createtxg %d and %d, guid %s and %s: want one transaction group and two GUIDs", x.CreateTXG, y.CreateTXG, x.GUID, y.GUID)
	}
	check(t, z.TakeSnapshots(t.Context(), []string{a + "@2", b + "@1"}, nil), backup.ErrExists)
	check(t, z.TakeSnapshots(t.Context(), []string{a + "@2", s.Source("gone") + "@2"}, nil), backup.ErrNotFound)
	if got := find(t, s, a, "2"); got.GUID != 0 {
		t.Errorf("%s was taken although its batch failed", got)
	}
}

func testMarks(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	check(t, s.ZFS().SetProperties(t.Context(), a, map[string]string{backup.PropClass: "periodic"}), nil)
	check(t, s.ZFS().TakeSnapshots(t.Context(), []string{a + "@foreign"}, nil), nil)
	take(t, s, a, "ours")
	facts, err := s.ZFS().Facts(t.Context(), a+"@foreign", a+"@ours", a+"@gone")
	check(t, err, nil)
	if len(facts) != 2 {
		t.Fatalf("%d facts, want 2: one is gone", len(facts))
	}
	for _, f := range facts {
		if got := f.Properties[backup.PropClass].Local(); got != (f.Name == "ours") {
			t.Errorf("%s: mark local = %v", f, got)
		}
	}
}

func testDestroy(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	one, two := take(t, s, a, "1"), take(t, s, a, "2")
	changed := two
	changed.GUID++
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, changed}), backup.ErrChanged)
	if find(t, s, a, "1").GUID == 0 {
		t.Error("a batch with a changed GUID destroyed something")
	}
	gone := backup.Snapshot{Dataset: a, Name: "gone", GUID: 7}
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, gone}), nil)
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, gone}), nil)
	if find(t, s, a, "1").GUID != 0 || find(t, s, a, "2").GUID == 0 {
		t.Error("want @1 gone and @2 there")
	}
}

func testHeld(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	one, two := take(t, s, a, "1"), take(t, s, a, "2")
	check(t, s.ZFS().Hold(t.Context(), "keep", two.String()), nil)
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), backup.ErrHeld)
	if find(t, s, a, "1").GUID == 0 {
		t.Error("a batch with a held snapshot destroyed the other")
	}
	facts, err := s.ZFS().Facts(t.Context(), two.String())
	check(t, err, nil)
	if len(facts) != 1 || facts[0].UserRefs != 1 {
		t.Errorf("facts = %+v, want one hold", facts)
	}
	check(t, s.ZFS().Release(t.Context(), "keep", two.String()), nil)
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), nil)
}

func testRepeated(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	z, one, two := s.ZFS(), take(t, s, a, "1"), take(t, s, a, "2")
	for range 2 {
		check(t, z.Hold(t.Context(), "x", one.String()), nil)
		check(t, z.Bookmark(t.Context(), one, "m"), nil)
	}
	check(t, z.Bookmark(t.Context(), two, "m"), backup.ErrExists)
	holds, err := z.Holds(t.Context(), one.String(), two.String())
	check(t, err, nil)
	if len(holds) != 1 || holds[0].Tag != "x" || holds[0].Snapshot != one.String() {
		t.Errorf("holds = %v", holds)
	}
	_, marks, err := z.Points(t.Context(), a)
	check(t, err, nil)
	if len(marks) != 1 || marks[0].GUID != one.GUID {
		t.Fatalf("bookmarks = %v, want one with guid %s", marks, one.GUID)
	}
	other := marks[0]
	other.GUID++
	check(t, z.DestroyBookmark(t.Context(), other), backup.ErrChanged)
	for range 2 {
		check(t, z.Release(t.Context(), "x", one.String()), nil)
		check(t, z.DestroyBookmark(t.Context(), marks[0]), nil)
	}
}

func testTransfer(t *testing.T, s Scene) {
	a, b := s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", "one")
	z, one := s.ZFS(), take(t, s, a, "1")
	full := backup.Transfer{
		To: one, Type: backup.Filesystem, Target: b, NewTarget: true,
		Props: map[string]string{backup.PropSource: "x"},
	}
	check(t, z.Create(t.Context(), s.Target("")), nil)
	check(t, z.Transfer(t.Context(), full, nil), nil)
	if got := find(t, s, b, "1"); got.GUID != one.GUID {
		t.Fatalf("received guid %s, want %s", got.GUID, one.GUID)
	}
	full.NewTarget = false
	check(t, z.Transfer(t.Context(), full, nil), backup.ErrExists)
	d, err := z.Datasets(t.Context(), b)
	check(t, err, nil)
	if len(d) != 1 || d[0].Mounted || !d[0].ReadOnly || !d[0].Properties[backup.PropSource].Local() {
		t.Errorf("replica = %+v, want unmounted, read-only, with our mark", d)
	}
	facts, err := z.Facts(t.Context(), b+"@1")
	check(t, err, nil)
	if len(facts) != 1 || facts[0].Properties[backup.PropClass].Local() {
		t.Errorf("facts = %+v: a plain send carries no snapshot properties", facts)
	}

	s.WriteFile(a, "f", "two")
	two := take(t, s, a, "2")
	inc := backup.Transfer{To: two, From: &one, Type: backup.Filesystem, Target: b}
	size, err := z.Estimate(t.Context(), inc)
	check(t, err, nil)
	if size <= 0 {
		t.Errorf("estimate = %d", size)
	}
	check(t, z.Transfer(t.Context(), inc, nil), nil)

	check(t, z.Bookmark(t.Context(), two, "m"), nil)
	check(t, z.DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), nil)
	s.WriteFile(a, "f", "three")
	three := take(t, s, a, "3")
	mark := backup.Bookmark{Dataset: a, Name: "m", GUID: two.GUID, CreateTXG: two.CreateTXG}
	check(t, z.Transfer(t.Context(), backup.Transfer{To: three, FromMark: &mark, Type: backup.Filesystem, Target: b}, nil), nil)
	for name, want := range map[string]string{"1": "one", "2": "two", "3": "three"} {
		if got := s.Read(b+"@"+name, "f"); got != want {
			t.Errorf("%s@%s holds %q, want %q", b, name, got, want)
		}
	}
}

func testVolume(t *testing.T, s Scene) {
	a, b := s.Source("v"), s.Target("v")
	s.MkVolume(a)
	one := take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: one, Type: backup.Volume, Target: b, NewTarget: true}, nil), nil)
	d, err := s.ZFS().Datasets(t.Context(), b)
	check(t, err, nil)
	if len(d) != 1 || d[0].Type != backup.Volume || !d[0].ReadOnly {
		t.Errorf("replica = %+v, want a read-only volume", d)
	}
}

// replicated makes a source and its replica with one common snapshot.
func replicated(t *testing.T, s Scene) (a, b string, one backup.Snapshot) {
	t.Helper()
	a, b = s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", "one")
	one = take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}, nil), nil)
	return a, b, one
}

func testModified(t *testing.T, s Scene) {
	a, b, one := replicated(t, s)
	s.WriteFile(b, "mine", "x")
	s.WriteFile(a, "f", "two")
	two := take(t, s, a, "2")
	err := s.ZFS().Transfer(t.Context(), backup.Transfer{To: two, From: &one, Type: backup.Filesystem, Target: b}, nil)
	check(t, err, backup.ErrModified)
	if find(t, s, b, "2").GUID != 0 {
		t.Error("it was received all the same")
	}
}

func testDiverged(t *testing.T, s Scene) {
	a, b, _ := replicated(t, s)
	two := take(t, s, a, "2")
	s.WriteFile(a, "f", "three")
	three := take(t, s, a, "3")
	err := s.ZFS().Transfer(t.Context(), backup.Transfer{To: three, From: &two, Type: backup.Filesystem, Target: b}, nil)
	check(t, err, backup.ErrDiverged)
}

func testMissing(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	d, err := s.ZFS().Datasets(t.Context(), a, s.Source("gone"))
	check(t, err, nil)
	if len(d) != 1 {
		t.Errorf("%d datasets, want 1: a root that is not there is left out", len(d))
	}
	snaps, _, err := s.ZFS().Points(t.Context(), s.Source("gone"))
	check(t, err, nil)
	if len(snaps) != 0 {
		t.Errorf("snapshots = %v, want none", snaps)
	}
	_, err = s.ZFS().Token(t.Context(), "1-nonsense")
	check(t, err, backup.ErrStaleToken)
	check(t, s.ZFS().AbortReceive(t.Context(), a), nil)
	check(t, s.ZFS().Release(t.Context(), "x", a+"@gone"), nil)
	check(t, s.ZFS().Hold(t.Context(), "x", a+"@gone"), backup.ErrNotFound)
}

// cut makes a source and the beginning of its replica.
func cut(t *testing.T, s Scene) (a, b string, one backup.Snapshot, d backup.Dataset) {
	t.Helper()
	a, b = s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", strings.Repeat("not compressible? no matter ", 4000))
	one = take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	s.CutReceive(one, b, map[string]string{backup.PropSource: "x"})
	list, err := s.ZFS().Datasets(t.Context(), b)
	check(t, err, nil)
	if len(list) != 1 || list[0].ResumeToken == "" {
		t.Fatalf("target = %+v, want one with a resume token", list)
	}
	// Only what carries our mark may be discarded, so the mark must be there
	// already, on a dataset that has received nothing whole.
	if !list[0].Properties[backup.PropSource].Local() {
		t.Errorf("the half received dataset does not carry our mark: %v", list[0].Properties)
	}
	return a, b, one, list[0]
}

func testResume(t *testing.T, s Scene) {
	_, b, one, d := cut(t, s)
	token, err := s.ZFS().Token(t.Context(), d.ResumeToken)
	check(t, err, nil)
	if token.ToGUID != one.GUID || token.FromGUID != 0 || token.ToName != one.String() {
		t.Errorf("token = %+v, want to %s guid %s", token, one, one.GUID)
	}
	resume := backup.Transfer{To: one, Token: d.ResumeToken, Type: backup.Filesystem, Target: b}
	check(t, s.ZFS().Transfer(t.Context(), resume, nil), nil)
	if got := find(t, s, b, "1"); got.GUID != one.GUID {
		t.Errorf("received guid %s, want %s", got.GUID, one.GUID)
	}
}

func testAbort(t *testing.T, s Scene) {
	a, b, _, d := cut(t, s)
	two := take(t, s, a, "2")
	err := s.ZFS().Transfer(t.Context(), backup.Transfer{To: two, Type: backup.Filesystem, Target: b}, nil)
	check(t, err, backup.ErrExists) // "exists", not "partially-complete state": seen on 2.3.9
	s.Destroy(a + "@1")
	_, err = s.ZFS().Token(t.Context(), d.ResumeToken)
	check(t, err, backup.ErrStaleToken)
	for range 2 {
		check(t, s.ZFS().AbortReceive(t.Context(), b), nil)
	}
	list, err := s.ZFS().Datasets(t.Context(), b)
	check(t, err, nil)
	if len(list) != 0 {
		t.Errorf("what a cut receive made is still there: %+v", list)
	}
}

func testMounted(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	one, two := take(t, s, a, "1"), take(t, s, a, "2")
	unmount := s.Mount(one.String())
	facts, err := s.ZFS().Facts(t.Context(), one.String(), two.String())
	check(t, err, nil)
	for _, f := range facts {
		if f.Mounted != (f.Name == "1") {
			t.Errorf("%s: mounted = %v", f, f.Mounted)
		}
	}
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), backup.ErrBusy)
	unmount()
	check(t, s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), nil)
}

func testEncrypted(t *testing.T, s Scene) {
	a, b := s.Source("e"), s.Target("e")
	s.MkEncrypted(a)
	one := take(t, s, a, "1")
	s.UnloadKey(a)
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	plain := backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}
	check(t, s.ZFS().Transfer(t.Context(), plain, nil), backup.ErrKeyUnavailable)
	raw := plain
	raw.Raw = true
	check(t, s.ZFS().Transfer(t.Context(), raw, nil), nil)
	list, err := s.ZFS().Datasets(t.Context(), a, b)
	check(t, err, nil)
	for _, d := range list {
		if !d.Encrypted || d.KeyLoaded {
			t.Errorf("%s: encrypted %v, key loaded %v; want encrypted without a key", d.Name, d.Encrypted, d.KeyLoaded)
		}
	}
	if got := find(t, s, b, "1"); got.GUID != one.GUID {
		t.Errorf("received guid %s, want %s", got.GUID, one.GUID)
	}
}
