package zfstest

import (
	"slices"
	"strings"
	"testing"

	"triplicate/internal/backup"
)

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
	if d := only(t, s, b); d.Mounted || !d.ReadOnly || !d.Properties[backup.PropSource].Local() {
		t.Errorf("replica = %+v, want unmounted, read-only, with our mark", d)
	}
	facts, err := z.Facts(t.Context(), a+"@1", b+"@1")
	check(t, err, nil)
	slices.SortFunc(facts, func(x, y backup.SnapshotFacts) int { return strings.Compare(y.Dataset, x.Dataset) })
	if len(facts) != 2 || facts[1].Properties[backup.PropClass].Local() {
		t.Fatalf("facts = %+v: a plain send carries no snapshot properties", facts)
	}
	if !facts[0].Creation.Equal(facts[1].Creation) {
		t.Errorf("created %s, received as created %s: want the same", facts[0].Creation, facts[1].Creation)
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
		if got := read(t, s, find(t, s, b, name), "f"); got != want {
			t.Errorf("%s@%s holds %q, want %q", b, name, got, want)
		}
	}
}

// own checks properties that must be set on the dataset itself.
func own(t *testing.T, s Scene, dataset string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := s.Property(dataset, name); got.Value != value || !got.Local() {
			t.Errorf("%s of %s = %+v, want %s, local", name, dataset, got, value)
		}
	}
}

func testReceiveProperties(t *testing.T, s Scene) {
	a, b := s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.SetProperty(a, "exec", "on")
	s.SetProperty(a, "mountpoint", "/run/of-the-source")
	one := take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	own(t, s, s.Target(""), map[string]string{"canmount": "off", "readonly": "on"})
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}, nil), nil)
	own(t, s, b, map[string]string{"readonly": "on", "canmount": "noauto", "setuid": "off", "exec": "off", "devices": "off"})
	if got := s.Property(b, "mountpoint"); got.Local() || got.Source == "received" {
		t.Errorf("mountpoint = %+v: the source's must not come along", got)
	}
}

func testVolume(t *testing.T, s Scene) {
	a, b := s.Source("v"), s.Target("v")
	s.MkVolume(a)
	s.SetProperty(a, "snapdev", "visible")
	one := take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: one, Type: backup.Volume, Target: b, NewTarget: true}, nil), nil)
	if d := only(t, s, b); d.Type != backup.Volume || !d.ReadOnly {
		t.Errorf("replica = %+v, want a read-only volume", d)
	}
	own(t, s, b, map[string]string{"readonly": "on", "volmode": "none", "snapdev": "hidden", "refreservation": "0"})
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
