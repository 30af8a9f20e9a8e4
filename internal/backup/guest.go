package backup

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a Proxmox client can report that somebody decides on.
var (
	// ErrGuestMoved: the node that was asked does not have the guest; no task
	// was started (Proxmox VE answers OK instead of a UPID).
	ErrGuestMoved = errors.New("the guest is not on that node")
	// ErrUnclear: the request may or may not have been carried out, because its
	// answer was lost. Look before asking again.
	ErrUnclear = errors.New("the answer was lost; it may have been carried out")
	// ErrUnreachable: nobody answered, and nothing was carried out.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrCredentials: the token or key is wrong, expired or revoked.
	ErrCredentials = errors.New("credentials are not accepted")
	// ErrForbidden: the token or key is right but may not do this.
	ErrForbidden = errors.New("not permitted")
	// ErrFingerprint: the server's certificate is not the pinned one.
	ErrFingerprint = errors.New("certificate does not have the pinned fingerprint")
	// ErrElsewhere: the token or key is a systemd credential, and this process does
	// not run in a unit that loads it. Nothing is known to be wrong with it.
	ErrElsewhere = errors.New("a systemd credential, which only a unit with LoadCredential= has")
	// ErrRefused: the server understood and said no; asking again changes nothing.
	ErrRefused = errors.New("refused")
)

// GuestType is Proxmox's word for the kind of a guest.
type GuestType string

// The kinds of guest.
const (
	VM        GuestType = "qemu"
	Container GuestType = "lxc"
)

// Guest is a VM or container of the cluster.
type Guest struct {
	VMID     int       `json:"vmid"`
	Type     GuestType `json:"type"`
	Name     string    `json:"name"`
	Node     string    `json:"node"`
	Online   bool      `json:"online"` // its node is; an offline node's guests keep their last known values
	Running  bool      `json:"running"`
	Lock     string    `json:"lock,omitempty"` // backup, snapshot, migrate ...
	Template bool      `json:"template,omitempty"`
}

// Group is the guest's backup group on Proxmox Backup Server: vm/101 or ct/105.
func (g Guest) Group() string {
	kind := "vm"
	if g.Type == Container {
		kind = "ct"
	}
	return fmt.Sprintf("%s/%d", kind, g.VMID)
}

// String is what people call the guest: 101 (web).
func (g Guest) String() string {
	if g.Name == "" {
		return fmt.Sprint(g.VMID)
	}
	return fmt.Sprintf("%d (%s)", g.VMID, g.Name)
}

// GuestVolume is a disk of a guest, or a host's folder that is mounted into it.
type GuestVolume struct {
	VMID int    `json:"vmid"`
	Slot string `json:"slot"` // scsi0, rootfs, mp0 ...
	// Dataset is the ZFS dataset that the volume is, if its storage is a ZFS
	// pool of the guest's node; empty otherwise.
	Dataset string `json:"dataset,omitempty"`
	// HostPath is set for a bind mount, which vzdump leaves out.
	HostPath string `json:"hostPath,omitempty"`
	// Saved says whether vzdump saves it: not bind mounts, not backup=0 disks,
	// not a container's mount points without backup=1.
	Saved bool `json:"saved"`
}

// UPID is the ID of a task on Proxmox VE or Proxmox Backup Server. The node that
// has the task is part of it.
type UPID string

// Node is the node that runs the task; empty if u is not a UPID.
func (u UPID) Node() string {
	f := strings.Split(string(u), ":")
	if len(f) < 8 || f[0] != "UPID" {
		return ""
	}
	return f[1]
}

// TaskState is how a task stands.
type TaskState string

// The states of a task. Interrupted is a person's or a signal's doing; Lost means
// that the server does not know how it ended (a reboot, kill -9, a full log disk).
const (
	TaskRunning     TaskState = "running"
	TaskOK          TaskState = "ok"
	TaskWarnings    TaskState = "warnings"
	TaskFailed      TaskState = "failed"
	TaskInterrupted TaskState = "interrupted"
	TaskLost        TaskState = "lost"
)

// Task is a task as its server tells it.
type Task struct {
	UPID    UPID      `json:"upid"`
	Type    string    `json:"type"` // vzdump, prune, garbage_collection ...
	Started time.Time `json:"started"`
	User    string    `json:"user"` // user@realm!token of who started it
	State   TaskState `json:"state"`
	Status  string    `json:"status,omitempty"` // the server's word: OK, WARNINGS: 1, or why it failed
}

// Ended says whether the task runs no more.
func (t Task) Ended() bool { return t.State != TaskRunning }

// TaskLog is a part of a task's log.
type TaskLog struct {
	Lines []string
	// Next is the number of lines up to the end of this part: where the next
	// part begins.
	Next int
	// Total is how many lines the log has by now.
	Total int
}

// Dump asks for one guest's backup.
type Dump struct {
	Guest   Guest
	Storage string
	// Key marks the backup as one run's, in the notes, where it outlives the
	// task's log. It is what makes the backup find-or-start.
	Key string
}

// Notes is the notes template of a dump. Proxmox VE fills in guestname and keeps
// the rest; the notes become the comment on Proxmox Backup Server.
func (d Dump) Notes() string { return "{{guestname}} " + KeyNote(d.Key) }

// KeyNote is how a run's key stands in notes.
func KeyNote(key string) string { return "triplicate-run=" + key }

// HasKey says whether notes or a log line carry the run's key.
func HasKey(text, key string) bool {
	rest := text
	for {
		_, after, ok := strings.Cut(rest, KeyNote(key))
		if !ok {
			return false
		}
		if after == "" || strings.ContainsAny(after[:1], " '\"\n") {
			return true
		}
		rest = after
	}
}

// Cluster is the state of Proxmox VE that a run depends on.
type Cluster struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	Quorate bool   `json:"quorate"` // true too for a node without a cluster
	// Storage is the storage entry that backups go to.
	Storage StorageEntry `json:"storage"`
	// Jobs are Proxmox VE's own enabled backup jobs to that storage: they would
	// compete.
	Jobs []string `json:"jobs,omitempty"`
}

// StorageEntry is Proxmox VE's entry of a storage.
type StorageEntry struct {
	Name      string `json:"name"`
	Type      string `json:"type"` // pbs
	Datastore string `json:"datastore"`
	Namespace string `json:"namespace"`
	// Prune is the entry's own prune-backups. Unless it keeps all, vzdump with
	// remove=0 fails with "max backup limit".
	Prune   string   `json:"prune,omitempty"`
	Enabled bool     `json:"enabled"`
	Down    []string `json:"down,omitempty"` // nodes on which it is not active
}

// GuestBackup is one backup of one guest on Proxmox Backup Server.
type GuestBackup struct {
	Group     string    `json:"group"` // vm/101
	Time      time.Time `json:"time"`  // to the second; with Group its identity
	Size      int64     `json:"size"`  // bytes; 0 while unfinished
	Notes     string    `json:"notes,omitempty"`
	Owner     string    `json:"owner,omitempty"`
	Protected bool      `json:"protected,omitempty"`
	Finished  bool      `json:"finished"` // has its index.json.blob
	Verified  string    `json:"verified,omitempty"`
}

// ID is how Proxmox names the backup: vm/101/2026-11-22T01:00:03Z.
func (b GuestBackup) ID() string { return b.Group + "/" + b.Time.UTC().Format(time.RFC3339) }

// The values of GuestBackup.Verified; empty: not verified yet.
const (
	VerifiedOK     = "ok"
	VerifiedFailed = "failed"
)

// PruneMark is what a prune did, or would do, with one backup.
type PruneMark struct {
	Time      time.Time `json:"time"`
	Keep      bool      `json:"keep"`
	Protected bool      `json:"protected,omitempty"`
}

// DatastoreState is the state of Proxmox Backup Server that a run depends on.
// Sizes are bytes.
type DatastoreState struct {
	Version     string `json:"version"`
	Maintenance string `json:"maintenance,omitempty"` // read-only, offline ...; empty: none
	Size        int64  `json:"size"`
	Available   int64  `json:"available"`
	Writers     int    `json:"writers"` // active write operations
	// Busy are running tasks that write to the datastore, such as "backup vm/101".
	Busy []string `json:"busy,omitempty"`
	// Timers are the server's own enabled prune, verify and GC schedules.
	Timers []string `json:"timers,omitempty"`
}

// Idle says whether nobody writes to the datastore.
func (d DatastoreState) Idle() bool { return d.Writers == 0 && len(d.Busy) == 0 }
