package zfstest

import (
	"testing"

	"triplicate/internal/backup"
)

// cut makes a source and the beginning of its replica.
func cut(t *testing.T, s Scene) (a, b string, one backup.Snapshot, d backup.Dataset) {
	t.Helper()
	a, b = s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", noise(300_000))
	one = take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	s.CutReceive(one, b, map[string]string{backup.PropSource: "x"})
	if d = only(t, s, b); d.ResumeToken == "" {
		t.Fatalf("target = %+v, want a resume token", d)
	}
	// Only what carries our mark may be discarded, so the mark must be there
	// already, on a dataset that has received nothing whole.
	if !d.Properties[backup.PropSource].Local() {
		t.Errorf("the half received dataset does not carry our mark: %v", d.Properties)
	}
	return a, b, one, d
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

func testQuota(t *testing.T, s Scene) {
	a, b := s.Source("a"), s.Target("a")
	s.MkDataset(a)
	s.WriteFile(a, "f", noise(20<<20))
	one := take(t, s, a, "1")
	check(t, s.ZFS().Create(t.Context(), s.Target("")), nil)
	s.SetProperty(s.Target(""), "quota", "4194304")
	full := backup.Transfer{To: one, Type: backup.Filesystem, Target: b, NewTarget: true}
	check(t, s.ZFS().Transfer(t.Context(), full, nil), backup.ErrNoSpace)
	d := only(t, s, b)
	token, err := s.ZFS().Token(t.Context(), d.ResumeToken)
	check(t, err, nil)
	if token.ToGUID != one.GUID || token.Bytes <= 0 {
		t.Errorf("token = %+v, want some bytes of %s", token, one)
	}
	s.SetProperty(s.Target(""), "quota", "none")
	resume := backup.Transfer{To: one, Token: d.ResumeToken, Type: backup.Filesystem, Target: b}
	check(t, s.ZFS().Transfer(t.Context(), resume, nil), nil)
	if got := find(t, s, b, "1"); got.GUID != one.GUID {
		t.Errorf("received guid %s, want %s", got.GUID, one.GUID)
	}
}
