package activities

import (
	"context"
	"time"

	"triplicate/internal/backup"
)

// Hypervisor is Proxmox VE: internal/pve, or the simulator behind it. Errors are
// those of internal/backup: ErrUnreachable, ErrUnclear, ErrCredentials,
// ErrForbidden, ErrFingerprint, ErrRefused. Reading calls try again by themselves
// and fail over to another node; StartDump never does.
type Hypervisor interface {
	// Cluster is what a run depends on, storage being the entry to back up to.
	Cluster(ctx context.Context, storage string) (backup.Cluster, error)
	// Guests lists the guests of all nodes, by VMID.
	Guests(ctx context.Context) ([]backup.Guest, error)
	// Privileges are the token's own on a path of the ACL tree, such as /vms/101.
	Privileges(ctx context.Context, path string) ([]string, error)
	// Volumes lists a guest's disks and mount points.
	Volumes(ctx context.Context, g backup.Guest) ([]backup.GuestVolume, error)
	// StartDump starts one vzdump task on the guest's node. ErrGuestMoved if the
	// guest is not there, ErrUnclear if the answer was lost. Calling it twice
	// makes two backups.
	StartDump(ctx context.Context, d backup.Dump) (backup.UPID, error)
	// Dumps lists the vzdump tasks of one guest on one node, running ones too,
	// that started at or after since; newest first.
	Dumps(ctx context.Context, node string, vmid int, since time.Time) ([]backup.Task, error)
	// Task is one task, asked of the node in its UPID.
	Task(ctx context.Context, id backup.UPID) (backup.Task, error)
	// TaskLog is the log from line number from on (0: the beginning).
	TaskLog(ctx context.Context, id backup.UPID, from int) (backup.TaskLog, error)
	// StopTask ends a running task; one that has ended is left alone.
	StopTask(ctx context.Context, id backup.UPID) error
}

// Datastore is one datastore (and namespace) of a Proxmox Backup Server:
// internal/pbs, or the simulator behind it. Errors are as of Hypervisor.
type Datastore interface {
	// State is what a run depends on.
	State(ctx context.Context) (backup.DatastoreState, error)
	// Privileges are the token's own on a path of the ACL tree, such as
	// /datastore/backups-vm.
	Privileges(ctx context.Context, path string) ([]string, error)
	// Backups lists the backups of a group, or of all ("" ), newest first.
	Backups(ctx context.Context, group string) ([]backup.GuestBackup, error)
	// PruneGroup prunes one group by PBS's own rule, or only says what it would
	// do. Repeating it is harmless: the rule is idempotent.
	PruneGroup(ctx context.Context, group string, keep backup.Keep, dryRun bool) ([]backup.PruneMark, error)
	// StartVerify verifies one backup, or, with nil, all that were not verified
	// for 30 days.
	StartVerify(ctx context.Context, b *backup.GuestBackup) (backup.UPID, error)
	// StartGC starts garbage collection, or finds the one that is running.
	StartGC(ctx context.Context) (backup.UPID, error)
	// Task is one task.
	Task(ctx context.Context, id backup.UPID) (backup.Task, error)
	// TaskLog is the log from line number from on.
	TaskLog(ctx context.Context, id backup.UPID, from int) (backup.TaskLog, error)
	// StopTask ends a running task; one that has ended is left alone.
	StopTask(ctx context.Context, id backup.UPID) error
}
