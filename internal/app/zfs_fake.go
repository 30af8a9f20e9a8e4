//go:build fakezfs

package app

import (
	"os"

	"triplicate/activities"
	"triplicate/internal/zfs/zfstest/wire"
)

// newZFS is a fake in another process: the one-minute look of the demo, and tests
// that need the whole daemon but no pool. Released binaries are built without the
// tag, and link no fake.
func newZFS() activities.ZFS { return &wire.Client{Socket: os.Getenv("TRIPLICATE_FAKE_ZFS")} }
