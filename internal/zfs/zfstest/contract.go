package zfstest

import (
	"errors"
	"math/rand/v2"
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
	// MkEncrypted makes an encrypted filesystem with its key loaded; UnloadKey
	// takes the key away.
	MkEncrypted(name string)
	UnloadKey(name string)
	WriteFile(dataset, file, content string)
	// Edit lets change do what it likes in a filesystem's folder.
	Edit(dataset string, change func(dir string))
	Clone(snapshot, dataset string)
	Destroy(name string) // a dataset and all below it, or a snapshot
	// Property is any property, as zfs get tells it; SetProperty sets ZFS's own.
	Property(dataset, name string) backup.Property
	SetProperty(dataset, name, value string)
	// CutReceive begins the first receive of a snapshot and cuts it off, as a kill
	// does, with props set on the new target.
	CutReceive(snapshot backup.Snapshot, target string, props map[string]string)
	// Mount mounts a snapshot by hand until the returned function is called; Leave
	// leaves it mounted where MountSnapshot would, as a killed daemon does.
	Mount(snapshot string) (unmount func())
	Leave(snapshot backup.Snapshot)
	// DotZFS says whether a filesystem's .zfs/snapshot shows a snapshot.
	DotZFS(snapshot string) bool
	// MkPool makes a third pool, small and thrown away after the test. ReadOnly
	// imports it anew, read-only. Suspend takes its devices away until the returned
	// function is called.
	MkPool(name string)
	ReadOnly(pool string)
	Suspend(pool string) (revive func())
}

// Contract is what internal/zfs promises and the fake repeats. newScene makes an
// empty scene for each test. What could spoil a machine comes last.
func Contract(t *testing.T, newScene func(t *testing.T) Scene) {
	for _, rule := range []struct {
		name string
		test func(*testing.T, Scene)
	}{
		{"snapshots are taken all or none", testAtomic},
		{"a dataset's mark is inherited, not ours", testMarks},
		{"destroy takes the GUID's word", testDestroy},
		{"a held snapshot saves its batch", testHeld},
		{"a clone saves its snapshot's batch", testCloned},
		{"holds and bookmarks may be repeated", testRepeated},
		{"names with blanks", testBlanks},
		{"what is missing", testMissing},
		{"one dataset without what lies below", testExactly},
		{"what was set, not what is inherited", testLocals},
		{"a dataset that only holds replicas", testContainer},
		{"full, incremental, from a bookmark", testTransfer},
		{"a replica cannot be written to, run or mounted by accident", testReceiveProperties},
		{"volumes", testVolume},
		{"a replica that was written to", testModified},
		{"no common base", testDiverged},
		{"a cut first receive is resumed", testResume},
		{"a cut first receive is discarded", testAbort},
		{"a quota ends a receive, and what arrived is kept", testQuota},
		{"encrypted, raw", testEncrypted},
		{"written since a snapshot, since a bookmark", testWritten},
		{"written on a replica", testWrittenReplica},
		{"a mounted snapshot shows, and saves its batch", testMounted},
		{"a snapshot is seen as it was", testSeen},
		{"a mount is shared, and ends with its last user", testShared},
		{"a mount takes the GUID's word", testMountGUID},
		{"an unmounted replica is seen only through a mount", testUnmounted},
		{"no mount without a key, none of a volume", testNoMount},
		{"leftover mounts are reused, or reaped", testLeft},
		{"a pool imported read-only", testReadOnlyPool},
		{"a suspended pool", testSuspended},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.test(t, newScene(t)) })
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

// only is a dataset that must be there.
func only(t *testing.T, s Scene, name string) backup.Dataset {
	t.Helper()
	list, err := s.ZFS().Datasets(t.Context(), name)
	check(t, err, nil)
	if len(list) != 1 {
		t.Fatalf("datasets = %+v, want one, %s", list, name)
	}
	return list[0]
}

// noise is content that does not compress, the same each time.
func noise(bytes int) string {
	from := rand.NewChaCha8([32]byte{})
	var b strings.Builder
	for b.Len() < bytes {
		n := from.Uint64()
		for range 8 {
			b.WriteByte(byte(n))
			n >>= 8
		}
	}
	return b.String()[:bytes]
}
