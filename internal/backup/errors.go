package backup

import "errors"

// What an adapter can report that somebody decides on. Adapters wrap these with
// the command and its own words; callers use errors.Is.
var (
	// ErrNotFound: the dataset, snapshot, bookmark or pool is not there.
	ErrNotFound = errors.New("does not exist")
	// ErrExists: the name is taken.
	ErrExists = errors.New("already exists")
	// ErrHeld: a snapshot has a hold, so ZFS refuses the whole batch.
	ErrHeld = errors.New("snapshot is held")
	// ErrCloned: a snapshot has dependent clones, so ZFS refuses the whole batch.
	ErrCloned = errors.New("snapshot has dependent clones")
	// ErrBusy: mounted, being sent, or otherwise in use; another try may succeed.
	ErrBusy = errors.New("dataset is busy")
	// ErrNoSpace: the pool is full or a quota is reached.
	ErrNoSpace = errors.New("out of space")
	// ErrReadOnlyPool: the pool was imported read-only.
	ErrReadOnlyPool = errors.New("pool is read-only")
	// ErrSuspended: the pool lost its devices; every command on it may hang.
	ErrSuspended = errors.New("pool I/O is suspended")
	// ErrKeyUnavailable: an encrypted dataset's key is not loaded.
	ErrKeyUnavailable = errors.New("encryption key is not loaded")
	// ErrModified: the replica was written to since its last snapshot.
	ErrModified = errors.New("replica was modified")
	// ErrDiverged: source and replica share no base; no automatic way back.
	ErrDiverged = errors.New("replica diverged from its source")
	// ErrIncomplete: the stream was cut or damaged (ZFS cannot tell which);
	// what arrived was kept and can be resumed.
	ErrIncomplete = errors.New("stream ended early or was damaged")
	// ErrReadError: the source's pool could not read what was to be sent.
	ErrReadError = errors.New("source cannot be read")
	// ErrStalled: a stream moved no byte for so long that it was given up; what
	// arrived was kept and can be resumed.
	ErrStalled = errors.New("stream stalled")
	// ErrNoParent: the dataset above is not on the replica yet, so nothing can be
	// received below it.
	ErrNoParent = errors.New("parent is not on the replica yet")
	// ErrPartial: the replica holds a partial receive that does not fit this stream.
	ErrPartial = errors.New("replica holds a partial receive")
	// ErrStaleToken: the resume token is corrupt or its snapshot is gone.
	ErrStaleToken = errors.New("resume token is stale")
	// ErrChanged: the GUID behind a name is no longer the one decided on.
	ErrChanged = errors.New("name now means another snapshot")
	// ErrPermission: not root, or not delegated.
	ErrPermission = errors.New("permission denied")
)
