package zfstest

import (
	"errors"
	"testing"

	"triplicate/internal/backup"
)

func written(t *testing.T, s Scene, to backup.Snapshot, since string) int64 {
	t.Helper()
	n, err := s.ZFS().Written(t.Context(), to, since)
	check(t, err, nil)
	return n
}

func testWritten(t *testing.T, s Scene) {
	a := s.Source("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", "one")
	z, one := s.ZFS(), take(t, s, a, "1")
	if n := only(t, s, a).Written; n != 0 {
		t.Errorf("written since the newest snapshot = %d at once", n)
	}
	s.WriteFile(a, "f", "two")
	if n := only(t, s, a).Written; n <= 0 {
		t.Errorf("written since the newest snapshot = %d after a write", n)
	}
	two := take(t, s, a, "2")
	n := written(t, s, two, "@1")
	s.WriteFile(a, "f", noise(100_000))
	if later := written(t, s, two, "@1"); n <= 0 || later != n {
		t.Errorf("written since @1 = %d, then %d: want some, and what is live not to count", n, later)
	}
	check(t, z.Bookmark(t.Context(), one, "m"), nil)
	check(t, z.DestroySnapshots(t.Context(), a, []backup.Snapshot{one}), nil)
	if got := written(t, s, two, "#m"); got != n {
		t.Errorf("written since the bookmark = %d, since its snapshot %d", got, n)
	}
	take(t, s, a, "3")
	four := take(t, s, a, "4")
	if n := written(t, s, four, "@3"); n != 0 {
		t.Errorf("written between two snapshots without a change = %d", n)
	}
	if n := written(t, s, four, "#m"); n < 100_000 {
		t.Errorf("written since the bookmark = %d, want all of the later file", n)
	}
	_, err := z.Written(t.Context(), four, "@1")
	check(t, err, backup.ErrNotFound)
	_, err = z.Written(t.Context(), four, "#gone")
	check(t, err, backup.ErrNotFound)
	_, err = z.Written(t.Context(), one, "#m")
	check(t, err, backup.ErrNotFound)
	four.GUID++
	_, err = z.Written(t.Context(), four, "@3")
	check(t, err, backup.ErrChanged)
	if _, err = z.Written(t.Context(), two, "@3"); err == nil || errors.Is(err, backup.ErrNotFound) {
		t.Errorf("written since a newer snapshot: error = %v, want one that does not say it is gone", err)
	}
}

// testWrittenReplica: offsite asks the replica, not the source.
func testWrittenReplica(t *testing.T, s Scene) {
	a, b, one := replicated(t, s)
	two := take(t, s, a, "2")
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: two, From: &one, Type: backup.Filesystem, Target: b}, nil), nil)
	s.WriteFile(a, "f", "three")
	three := take(t, s, a, "3")
	check(t, s.ZFS().Transfer(t.Context(), backup.Transfer{To: three, From: &two, Type: backup.Filesystem, Target: b}, nil), nil)
	if n := written(t, s, find(t, s, b, "2"), "@1"); n != 0 {
		t.Errorf("an empty increment counts as %d bytes", n)
	}
	if n := written(t, s, find(t, s, b, "3"), "@2"); n <= 0 {
		t.Errorf("a change counts as %d bytes", n)
	}
}
