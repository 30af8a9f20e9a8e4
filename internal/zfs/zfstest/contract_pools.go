package zfstest

import (
	"strings"
	"testing"

	"triplicate/internal/backup"
)

// third is a pool of its own with a filesystem that holds one snapshot.
func third(t *testing.T, s Scene) (pool string, one backup.Snapshot) {
	t.Helper()
	pool = "t-third"
	s.MkPool(pool)
	s.MkDataset(pool + "/a")
	s.WriteFile(pool+"/a", "f", "one")
	return pool, take(t, s, pool+"/a", "1")
}

// health is a pool as the listing sees it.
func health(t *testing.T, s Scene, name string) backup.Pool {
	t.Helper()
	pools, err := s.ZFS().Pools(t.Context())
	check(t, err, nil)
	var names []string
	for _, p := range pools {
		if p.Name == name {
			return p
		}
		names = append(names, p.Name)
	}
	t.Fatalf("pools = %s, want %s among them", strings.Join(names, " "), name)
	return backup.Pool{}
}

// testReadOnlyPool: everything can be read, nothing changed, and it says so.
func testReadOnlyPool(t *testing.T, s Scene) {
	pool, one := third(t, s)
	a := s.Source("a")
	s.MkDataset(a)
	other := take(t, s, a, "1")
	s.ReadOnly(pool)
	if p := health(t, s, pool); !p.ReadOnly || p.Health != "ONLINE" {
		t.Errorf("pool = %+v, want read-only, online", p)
	}
	z := s.ZFS()
	for name, change := range map[string]func() error{
		"snapshot": func() error { return z.TakeSnapshots(t.Context(), []string{pool + "/a@2"}, nil) },
		"mark": func() error {
			return z.SetProperties(t.Context(), one.String(), map[string]string{backup.PropClass: "x"})
		},
		"hold":     func() error { return z.Hold(t.Context(), "x", one.String()) },
		"bookmark": func() error { return z.Bookmark(t.Context(), one, "m") },
		"destroy":  func() error { return z.DestroySnapshots(t.Context(), pool+"/a", []backup.Snapshot{one}) },
		"create":   func() error { return z.Create(t.Context(), pool+"/b") },
		"receive": func() error {
			return z.Transfer(t.Context(), backup.Transfer{To: other, Type: backup.Filesystem, Target: pool + "/b", NewTarget: true}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) { check(t, change(), backup.ErrReadOnlyPool) })
	}
	if got := read(t, s, one, "f"); got != "one" {
		t.Errorf("%s holds %q", one, got)
	}
	check(t, z.Create(t.Context(), s.Target("")), nil)
	full := backup.Transfer{To: one, Type: backup.Filesystem, Target: s.Target("a"), NewTarget: true}
	check(t, z.Transfer(t.Context(), full, nil), nil)
}

// testSuspended: a pool without its devices is an error at once, not a command
// that hangs, and other pools go on.
func testSuspended(t *testing.T, s Scene) {
	pool, one := third(t, s)
	a := s.Source("a")
	s.MkDataset(a)
	other := take(t, s, a, "1")
	revive := s.Suspend(pool)
	z := s.ZFS()
	if p := health(t, s, pool); p.Health != suspended {
		t.Errorf("pool = %+v, want %s", p, suspended)
	}
	for name, call := range map[string]func() error{
		"snapshot": func() error { return z.TakeSnapshots(t.Context(), []string{pool + "/a@2"}, nil) },
		"datasets": func() error { _, err := z.Datasets(t.Context(), pool); return err },
		"points":   func() error { _, _, err := z.Points(t.Context(), pool); return err },
		// zfs list without names leaves a suspended pool out and ends with 0.
		"datasets of all pools": func() error { _, err := z.Datasets(t.Context()); return err },
		"points of all pools":   func() error { _, _, err := z.Points(t.Context()); return err },
		"exactly":               func() error { _, _, _, err := z.Exactly(t.Context(), pool+"/a"); return err },
		"written":               func() error { _, err := z.Written(t.Context(), one, "@1"); return err },
		"create":                func() error { return z.Create(t.Context(), pool+"/b") },
		"hold":                  func() error { return z.Hold(t.Context(), "x", one.String()) },
		"facts":                 func() error { _, err := z.Facts(t.Context(), one.String()); return err },
		"destroy":               func() error { return z.DestroySnapshots(t.Context(), pool+"/a", []backup.Snapshot{one}) },
		"mount":                 func() error { _, _, err := z.MountSnapshot(t.Context(), one); return err },
		"receive": func() error {
			return z.Transfer(t.Context(), backup.Transfer{To: other, Type: backup.Filesystem, Target: pool + "/b", NewTarget: true}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) { check(t, call(), backup.ErrSuspended) })
	}
	take(t, s, a, "2") // the others go on
	if _, err := z.Datasets(t.Context(), s.Source("")); err != nil {
		t.Errorf("list another pool: %v", err)
	}
	revive()
	if p := health(t, s, pool); p.Health != "ONLINE" {
		t.Errorf("revived pool = %+v", p)
	}
	take(t, s, pool+"/a", "2")
}
