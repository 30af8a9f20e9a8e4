// Package zfs runs zfs(8) and zpool(8). It knows nothing of Temporal, policies
// or retention: it lists, snapshots, destroys, sends and receives exactly what it
// is told, refuses what could be read as an option, and turns what the commands
// say into the errors of package backup.
//
// go-zfs (mistifyio/go-zfs/v3) serves for pool facts, creation and properties;
// everything that needs a context, a GUID, a hold, a bookmark, a resume token or
// two joined processes goes through our own runner, because go-zfs has none of
// these (docs/decisions/0001-zfs-adapter.md).
package zfs
