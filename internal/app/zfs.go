//go:build !fakezfs

package app

import (
	"triplicate/activities"
	"triplicate/internal/zfs"
)

// newZFS is this machine's zfs(8).
func newZFS() activities.ZFS { return &zfs.Host{} }
