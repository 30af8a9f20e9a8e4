package activities

import (
	"context"

	"triplicate/internal/backup"
)

// Reader looks at pools and changes nothing.
type Reader interface {
	// Pools lists the imported pools.
	Pools(ctx context.Context) ([]backup.Pool, error)
	// Datasets lists the roots and everything below them, parents first, with
	// one command. Without roots it lists all pools. A root that is not there
	// is left out, not an error: the caller sees that it is missing.
	Datasets(ctx context.Context, roots ...string) ([]backup.Dataset, error)
	// Points lists the snapshots and bookmarks of the roots and everything below
	// them in createtxg order per dataset, reading only name, guid and createtxg
	// (the fast path). A root that is not there is left out. An incomplete
	// listing is an error, never a short answer.
	Points(ctx context.Context, roots ...string) ([]backup.Snapshot, []backup.Bookmark, error)
	// Exactly sees just these datasets, not what lies below them, as Datasets and
	// Points would, with two commands. One that is not there is left out.
	Exactly(ctx context.Context, datasets ...string) ([]backup.Dataset, []backup.Snapshot, []backup.Bookmark, error)
	// Locals lists, by dataset and property, what was set on the roots and on
	// everything below them itself, or received with it: not what is inherited or
	// a default. It takes one command. A root that is not there is left out.
	Locals(ctx context.Context, roots ...string) (map[string]map[string]string, error)
	// Facts reads the slow columns of exactly these snapshots (dataset@name)
	// with one command. Snapshots that are gone are left out.
	Facts(ctx context.Context, snapshots ...string) ([]backup.SnapshotFacts, error)
	// Holds lists the holds on these snapshots; ones that are gone are left out.
	Holds(ctx context.Context, snapshots ...string) ([]backup.Hold, error)
	// Token says what a resume token stands for. backup.ErrStaleToken if it is
	// corrupt or its snapshot is gone from the source.
	Token(ctx context.Context, token string) (backup.Token, error)
	// Written is how many bytes to has that were written after since: "@name", an
	// older snapshot of the same dataset, or, with that gone, "#name", a bookmark of
	// it (zfsprops(7): written@snapshot, written#bookmark). It is asked of the
	// snapshot, so what was written to the live dataset later does not count. 0
	// means that nothing changed. backup.ErrNotFound if either is gone,
	// backup.ErrChanged if to's name means another snapshot.
	Written(ctx context.Context, to backup.Snapshot, since string) (int64, error)
}

// Snapshotter makes snapshots and the marks on them. Every call may be repeated.
type Snapshotter interface {
	// TakeSnapshots takes all the named snapshots (dataset@name, one pool) in one
	// transaction group or none of them, with props set on each.
	// backup.ErrExists if one name is taken, backup.ErrNotFound if a dataset is gone.
	TakeSnapshots(ctx context.Context, snapshots []string, props map[string]string) error
	// SetProperties sets user properties on a dataset or snapshot.
	SetProperties(ctx context.Context, name string, props map[string]string) error
	// Bookmark makes dataset#name from s. Already there with s's GUID is success;
	// with another GUID it is backup.ErrExists.
	Bookmark(ctx context.Context, s backup.Snapshot, name string) error
	// Hold puts tag on the snapshots; ones that have it already are left alone.
	Hold(ctx context.Context, tag string, snapshots ...string) error
	// Release takes tag off the snapshots; ones without it, or gone, are left alone.
	Release(ctx context.Context, tag string, snapshots ...string) error
}

// Destroyer destroys snapshots and bookmarks, never a dataset, never recursively.
type Destroyer interface {
	// DestroySnapshots destroys snapshots of one dataset in batches of at most
	// 100, after reading each name's GUID again: backup.ErrChanged if one differs.
	// One that is gone is success. ZFS destroys a whole batch or none of it:
	// backup.ErrHeld, backup.ErrCloned and backup.ErrBusy say why not.
	DestroySnapshots(ctx context.Context, dataset string, snapshots []backup.Snapshot) error
	// DestroyBookmark destroys b if its GUID is still b's; gone is success.
	DestroyBookmark(ctx context.Context, b backup.Bookmark) error
}

// Transferrer copies a snapshot from one dataset to another. It never rolls
// back and never forces.
type Transferrer interface {
	// Create makes an empty, unmounted, read-only filesystem that only holds
	// replicas below it, and its missing parents, all with backup.PropContainer.
	// There already is success, and changes nothing.
	Create(ctx context.Context, dataset string) error
	// Estimate is the size of the stream in bytes, as zfs send -nP tells it.
	Estimate(ctx context.Context, t backup.Transfer) (int64, error)
	// Transfer runs zfs send | zfs receive -s -u. progress is called with the
	// bytes sent so far, about once a second; it may be nil. Success means that
	// both commands ended well, not that the snapshot is there: look.
	Transfer(ctx context.Context, t backup.Transfer, progress func(bytes int64)) error
	// AbortReceive discards target's partial receive; none there is success.
	// Where the partial receive made the dataset, the dataset goes with it.
	AbortReceive(ctx context.Context, target string) error
}

// Mounter shows what a snapshot holds. .zfs/snapshot does not exist on an
// unmounted replica, so nothing here uses it.
type Mounter interface {
	// MountSnapshot mounts exactly s, a filesystem's snapshot, read-only
	// (ro,nosuid,nodev,noexec) on a folder named by its GUID, and reads the GUID
	// before and after: backup.ErrChanged if the name means another snapshot. One
	// that is mounted there already, by a killed daemon or another step, is
	// reused, and unmounted by its last user. Call unmount before returning; a
	// second call does nothing. backup.ErrKeyUnavailable if the key is not loaded.
	MountSnapshot(ctx context.Context, s backup.Snapshot) (dir string, unmount func() error, err error)
	// ReapMounts unmounts what a killed daemon left mounted; the daemon calls it
	// at start. What a living step or command still looks at stays.
	ReapMounts(ctx context.Context) error
}

// ZFS is all that the activities need of the pools. internal/zfs runs zfs(8),
// internal/zfs/zfstest keeps pools in directories; one contract binds both.
type ZFS interface {
	Reader
	Snapshotter
	Destroyer
	Transferrer
	Mounter
}
