package zfs

import (
	"strings"

	"triplicate/internal/backup"
)

// texts maps what OpenZFS 2.1-2.3 says (LC_ALL=C) to what it means; the first
// match wins. All were seen on OpenZFS 2.3.9, or from mount(8) and umount(8) on it (lib/libzfs/libzfs_util.c and
// libzfs_sendrecv.c hold them).
var texts = []struct {
	text string
	err  error
}{
	{"pool I/O is currently suspended", backup.ErrSuspended},
	{"dataset key must be loaded", backup.ErrKeyUnavailable},
	{"key not loaded", backup.ErrKeyUnavailable},
	{"inherited key must be loaded", backup.ErrKeyUnavailable},
	{"Encryption key not loaded", backup.ErrKeyUnavailable},
	{"pool is read-only", backup.ErrReadOnlyPool},
	{"it's being held", backup.ErrHeld},
	{"dependent clones", backup.ErrCloned},
	{"resume token is corrupt", backup.ErrStaleToken},
	{"used in the initial send no longer exists", backup.ErrStaleToken},
	{"contains partially-complete state", backup.ErrPartial},
	{"checksum mismatch or incomplete stream", backup.ErrIncomplete},
	{"incomplete stream", backup.ErrIncomplete},
	{"failed to read from stream", backup.ErrIncomplete},
	{"has been modified", backup.ErrModified},
	{"does not\nmatch incremental source", backup.ErrDiverged},
	{"must specify -F to overwrite it", backup.ErrExists},
	{"out of space", backup.ErrNoSpace},
	{"space quota exceeded", backup.ErrNoSpace},
	{"No space left on device", backup.ErrNoSpace},
	{"dataset already exists", backup.ErrExists},
	{"bookmark exists", backup.ErrExists},
	{"already exists", backup.ErrExists},
	{"is busy", backup.ErrBusy},
	{"resource busy", backup.ErrBusy},
	{"dataset does not exist", backup.ErrNotFound},
	{"does not exist", backup.ErrNotFound},
	{"no such pool", backup.ErrNotFound},
	{"could not find any snapshots to destroy", backup.ErrNotFound},
	{"permission denied", backup.ErrPermission},
	{"Permission denied", backup.ErrPermission},
	{"must be superuser", backup.ErrPermission},
}

// classify finds what a command's stderr means, or nil.
func classify(stderr string) error {
	for _, t := range texts {
		if strings.Contains(stderr, t.text) {
			return t.err
		}
	}
	return nil
}
