package zfstest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

func testExactly(t *testing.T, s Scene) {
	a, below, b := s.Source("a"), s.Source("a/below"), s.Source("b")
	for _, d := range []string{a, below, b} {
		s.MkDataset(d)
	}
	z := s.ZFS()
	take(t, s, below, "1")
	one, two, other := take(t, s, a, "1"), take(t, s, a, "2"), take(t, s, b, "1")
	check(t, z.Bookmark(t.Context(), one, "m"), nil)
	check(t, z.SetProperties(t.Context(), a, map[string]string{backup.PropSource: "x"}), nil)

	datasets, snaps, marks, err := z.Exactly(t.Context(), a, s.Source("gone"), b)
	check(t, err, nil)
	want := []backup.Dataset{listed(t, s, a), listed(t, s, b)}
	if diff := cmp.Diff(want, datasets); diff != "" {
		t.Errorf("datasets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]backup.Snapshot{one, two, other}, snaps); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
	if len(marks) != 1 || marks[0].Name != "m" || marks[0].GUID != one.GUID {
		t.Errorf("bookmarks = %v, want only m", marks)
	}
	if datasets, snaps, marks, err = z.Exactly(t.Context(), s.Source("gone")); err != nil || len(datasets)+len(snaps)+len(marks) > 0 {
		t.Errorf("of one that is not there: %v, %v, %v, %v; want nothing", datasets, snaps, marks, err)
	}
	// A dataset that is asked for beside one above it is not listed twice.
	if datasets, _, _, err = z.Exactly(t.Context(), a, below); err != nil || len(datasets) != 2 {
		t.Errorf("datasets = %v, %v; want two", datasets, err)
	}
}

// listed is a dataset as the whole listing has it, with what lies below it.
func listed(t *testing.T, s Scene, name string) backup.Dataset {
	t.Helper()
	list, err := s.ZFS().Datasets(t.Context(), name)
	check(t, err, nil)
	for _, d := range list {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("%s is not in %v", name, list)
	return backup.Dataset{}
}

func testLocals(t *testing.T, s Scene) {
	a, below := s.Source("a"), s.Source("a/below")
	s.MkDataset(a)
	s.MkDataset(below)
	s.SetProperty(a, "quota", "1073741824")
	s.SetProperty(a, "mountpoint", "/run/of-the-source")
	s.SetProperty(below, "recordsize", "1048576")
	odd := `{"quota":"1","note":"a=b, c"}`
	check(t, s.ZFS().SetProperties(t.Context(), a, map[string]string{backup.PropOriginal: odd}), nil)
	got, err := s.ZFS().Locals(t.Context(), a, s.Source("gone"))
	check(t, err, nil)
	want := map[string]map[string]string{
		a:     {"quota": "1073741824", "mountpoint": "/run/of-the-source", backup.PropOriginal: odd},
		below: {"recordsize": "1048576"}, // what it inherits is not its own
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// testContainer: what we made to hold replicas can be told from everything else,
// and nothing can be received onto it without force.
func testContainer(t *testing.T, s Scene) {
	a, b := s.Source("a"), s.Target("x/a")
	s.MkDataset(a)
	one := take(t, s, a, "1")
	z := s.ZFS()
	check(t, z.Create(t.Context(), b), nil)
	check(t, z.Create(t.Context(), b), nil)
	for _, name := range []string{s.Target("x"), b} {
		if d, _, _, err := z.Exactly(t.Context(), name); err != nil || len(d) != 1 || d[0].Mounted || !d[0].Properties[backup.PropContainer].Local() {
			t.Errorf("%s = %+v, %v; want it unmounted and marked", name, d, err)
		}
	}
	full := backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}
	check(t, z.Transfer(t.Context(), full, nil), backup.ErrExists)
	// What is there already stays as it is.
	check(t, z.Create(t.Context(), a), nil)
	if d := only(t, s, a); d.Properties[backup.PropContainer].Local() {
		t.Errorf("%s was there and is marked as ours", a)
	}
}
