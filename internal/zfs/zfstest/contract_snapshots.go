package zfstest

import (
	"strings"
	"testing"

	"triplicate/internal/backup"
)

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
	below := s.Source("a/below")
	s.MkDataset(below)
	for dataset, want := range map[string]backup.Property{
		a:            {Value: "periodic", Source: "local"},
		below:        {Value: "periodic", Source: "inherited from " + a},
		s.Source(""): {Value: "-", Source: "-"},
	} {
		if got := s.Property(dataset, backup.PropClass); got != want {
			t.Errorf("mark of %s = %+v, want %+v", dataset, got, want)
		}
	}
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

func testCloned(t *testing.T, s Scene) {
	a, c := s.Source("a"), s.Source("c")
	s.MkDataset(a)
	one, two := take(t, s, a, "1"), take(t, s, a, "2")
	s.Clone(two.String(), c)
	if got := only(t, s, c).Origin; got != two.String() {
		t.Errorf("origin of the clone = %q, want %s", got, two)
	}
	facts, err := s.ZFS().Facts(t.Context(), one.String(), two.String())
	check(t, err, nil)
	for _, f := range facts {
		if got := strings.Join(f.Clones, ","); (got == c) != (f.Name == "2") {
			t.Errorf("%s: clones = %q, want %s of @2 only", f, got, c)
		}
	}
	err = s.ZFS().DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two})
	check(t, err, backup.ErrCloned)
	if !strings.Contains(err.Error(), two.String()) {
		t.Errorf("error = %v: want it to name %s", err, two)
	}
	if find(t, s, a, "1").GUID == 0 {
		t.Error("a batch with a cloned snapshot destroyed the other")
	}
	s.Destroy(c)
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

// testBlanks goes once round with names that have blanks in every part.
func testBlanks(t *testing.T, s Scene) {
	a, b := s.Source("my data"), s.Target("my data")
	s.MkDataset(a)
	s.WriteFile(a, "a file", "one")
	z, one := s.ZFS(), take(t, s, a, "day 1")
	check(t, z.Create(t.Context(), s.Target("")), nil)
	check(t, z.Transfer(t.Context(), backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}, nil), nil)
	s.WriteFile(a, "a file", "two")
	two := take(t, s, a, "day 2")
	check(t, z.Bookmark(t.Context(), one, "mark 1"), nil)
	_, marks, err := z.Points(t.Context(), a)
	check(t, err, nil)
	if len(marks) != 1 || marks[0].Name != "mark 1" {
		t.Fatalf("bookmarks = %v", marks)
	}
	for _, since := range []string{"@day 1", "#mark 1"} {
		n, err := z.Written(t.Context(), two, since)
		check(t, err, nil)
		if n <= 0 {
			t.Errorf("written since %s = %d", since, n)
		}
	}
	check(t, z.Transfer(t.Context(), backup.Transfer{To: two, FromMark: &marks[0], Type: backup.Filesystem, Target: b}, nil), nil)
	if got := read(t, s, find(t, s, b, "day 2"), "a file"); got != "two" {
		t.Errorf("the replica holds %q", got)
	}
	check(t, z.Hold(t.Context(), "my tag", one.String()), nil)
	holds, err := z.Holds(t.Context(), one.String(), two.String())
	check(t, err, nil)
	if len(holds) != 1 || holds[0].Tag != "my tag" || holds[0].Snapshot != one.String() {
		t.Errorf("holds = %v", holds)
	}
	check(t, z.Release(t.Context(), "my tag", one.String()), nil)
	check(t, z.DestroyBookmark(t.Context(), marks[0]), nil)
	check(t, z.DestroySnapshots(t.Context(), a, []backup.Snapshot{one, two}), nil)
	if snaps, _, err := z.Points(t.Context(), a); err != nil || len(snaps) != 0 {
		t.Errorf("left: %v, %v", snaps, err)
	}
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
