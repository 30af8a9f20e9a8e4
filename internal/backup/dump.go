package backup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// LeftOut is a guest that a run does not back up, and why.
type LeftOut struct {
	Guest  Guest
	Reason string
	Meant  bool // the config says so; else somebody should know
}

// SelectGuests splits the cluster's guests into what a run backs up, by VMID, and
// what it leaves out. The container that Proxmox Backup Server runs in is left
// out: backing it up would freeze the backup's own target.
func SelectGuests(p ProxmoxPolicy, guests []Guest) (selected []Guest, left []LeftOut) {
	for _, g := range guests {
		switch {
		case g.VMID == p.PBSGuest && p.PBSGuest != 0:
			left = append(left, LeftOut{g, "it runs Proxmox Backup Server itself; back up /etc/proxmox-backup elsewhere", true})
		case slices.Contains(p.Exclude, g.VMID):
			left = append(left, LeftOut{g, "excluded in the config", true})
		case !g.Online:
			left = append(left, LeftOut{g, "its node " + g.Node + " is offline", false})
		default:
			selected = append(selected, g)
		}
	}
	slices.SortFunc(selected, func(a, b Guest) int { return cmp.Compare(a.VMID, b.VMID) })
	return selected, left
}

// DumpFate is what a dump's end means for the next step.
type DumpFate string

// What to do after a dump ended: nothing, try again later, or leave it to people.
const (
	DumpDone  DumpFate = "done"
	DumpRetry DumpFate = "retry"
	DumpGone  DumpFate = "gone" // failed for good
	// DumpStorage: the target cannot be written, so that the other guests would
	// fail in the same way.
	DumpStorage DumpFate = "storage"
)

// transient are the texts of failures that another try may cure: locks, moves and
// overload, in Proxmox VE's own words.
var transient = []string{
	"is locked", "can't lock file", "got timeout", "trying to get global lock", "unable to acquire lock",
	"connection refused", "connection reset", "broken pipe", "timed out", "temporarily",
}

// storageTexts are the texts of a target that cannot be written.
var storageTexts = []string{
	"could not activate storage", "no space left", "enospc", "maintenance mode", "unable to open chunk store",
	"permission check failed", "storage '", "is not online", "no such datastore",
}

// FateOf judges how a dump ended. A person who interrupts a backup means it.
func FateOf(t Task, failure string) DumpFate {
	switch t.State {
	case TaskOK, TaskWarnings:
		return DumpDone
	case TaskInterrupted:
		return DumpGone
	case TaskLost:
		return DumpRetry // a reboot, or a wait for the node's lock that was over
	}
	text := strings.ToLower(t.Status + " " + failure)
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case slices.ContainsFunc(storageTexts, has):
		return DumpStorage
	case slices.ContainsFunc(transient, has):
		return DumpRetry
	}
	return DumpGone
}

// CheckDump is what is wrong with the backup that a dump left, as Proxmox Backup
// Server shows it; empty: nothing.
func CheckDump(b *GuestBackup) string {
	switch {
	case b == nil:
		return "the task ended well, but Proxmox Backup Server has no such backup"
	case !b.Finished:
		return fmt.Sprintf("%s is unfinished on Proxmox Backup Server", b.ID())
	case b.Size <= 0:
		return fmt.Sprintf("%s is empty on Proxmox Backup Server", b.ID())
	}
	return ""
}

// NewestBackup is the newest finished backup of a group; nil without one.
func NewestBackup(backups []GuestBackup, group string) *GuestBackup {
	var newest *GuestBackup
	for i, b := range backups {
		if b.Group == group && b.Finished && (newest == nil || b.Time.After(newest.Time)) {
			newest = &backups[i]
		}
	}
	return newest
}
