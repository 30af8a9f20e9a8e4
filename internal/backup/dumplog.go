package backup

import (
	"regexp"
	"strconv"
	"strings"
)

// DumpLog is what the log of one guest's vzdump says so far. The zero value is an
// empty log; it may travel through JSON between two calls of Add.
type DumpLog struct {
	// Snapshot is the backup on Proxmox Backup Server, as GuestBackup.ID names it;
	// empty until the archive was begun.
	Snapshot string `json:"snapshot,omitempty"`
	// Percent of what is to be read, 0 to 100. A VM's counts dirty bytes, not the
	// disk. Containers have none until they are done.
	Percent int `json:"percent,omitempty"`
	// Bytes were sent so far; Total is of how many, 0 while unknown. A container's
	// total is known only at its end.
	Bytes int64 `json:"bytes,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Reused is how many percent of the guest the datastore had already.
	Reused float64 `json:"reused,omitempty"`
	// Waiting says that another vzdump has the node's lock.
	Waiting bool `json:"waiting,omitempty"`
	// Warnings are the first of the log's warnings, bounded.
	Warnings []string `json:"warnings,omitempty"`
	// Failed is why it failed, in vzdump's words; empty: nothing failed so far.
	Failed string `json:"failed,omitempty"`
	// Ended says that the log's last line was seen.
	Ended bool `json:"ended,omitempty"`
}

// A guest with a thousand unreadable files has a thousand warnings; the log keeps
// them, a heartbeat need not.
const (
	maxDumpWarnings = 20
	maxDumpText     = 300 // bytes of one warning or failure
)

// The lines of vzdump that say something (PVE/VZDump.pm, VZDump/QemuServer.pm,
// VZDump/LXC.pm, and proxmox-backup-client, whose lines a container's log has).
// Numbers are theirs: 508.0 MiB, 1.2 GiB, 0.0 B.
var (
	dumpSnapshot = regexp.MustCompile(`^INFO: creating Proxmox Backup Server archive '((?:vm|ct)/[1-9][0-9]{2,8}/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)'$`)
	dumpPercent  = regexp.MustCompile(`^INFO: +([0-9]{1,3})% \(([0-9.]+ [KMGTPE]?i?B) of ([0-9.]+ [KMGTPE]?i?B)\) in `)
	dumpSent     = regexp.MustCompile(`^INFO: transferred ([0-9.]+ [KMGTPE]?i?B) in `)
	dumpUploaded = regexp.MustCompile(`^INFO: processed [0-9.]+ [KMGTPE]?i?B in [^,]+, uploaded ([0-9.]+ [KMGTPE]?i?B)$`)
	dumpArchive  = regexp.MustCompile(`^INFO: [^ ]+: had to backup ([0-9.]+ [KMGTPE]?i?B) of ([0-9.]+ [KMGTPE]?i?B) `)
	dumpReused   = regexp.MustCompile(`^INFO: (?:[^ ]+: )?backup was done incrementally, reused [0-9.]+ [KMGTPE]?i?B \(([0-9.]{1,5})%\)$`)
	dumpFailed   = regexp.MustCompile(`^ERROR: Backup of VM [0-9]+ failed - (.*)$`)
	dumpFinished = regexp.MustCompile(`^INFO: Finished Backup of VM [0-9]+ \(`)
)

const dumpUnits = "BKMGTPE"

// ParseDump reads a whole log of one guest's vzdump.
func ParseDump(lines []string) DumpLog {
	var d DumpLog
	d.Add(lines...)
	return d
}

// Add reads the log's next lines. Lines it does not know say nothing, so a newer
// Proxmox VE costs progress, not the backup.
func (d *DumpLog) Add(lines ...string) {
	for _, line := range lines {
		kind, text, _ := strings.Cut(line, ": ")
		switch {
		case kind == "WARN":
			d.warn(text)
		case kind == "ERROR":
			d.failed(line, text)
		case strings.HasPrefix(line, "TASK "):
			d.end(line)
		case kind == "INFO":
			d.info(line, text)
		}
	}
}

func (d *DumpLog) info(line, text string) {
	switch {
	case text == "trying to get global lock - waiting...":
		d.Waiting = true
		return
	case text == "got global lock":
		d.Waiting = false
		return
	case strings.HasPrefix(text, "mode failure - "):
		// Snapshot mode falls back to suspend mode, which stops a container for
		// a while: a success, but not the one that was asked for.
		d.warn(text)
		return
	}
	if m := dumpSnapshot.FindStringSubmatch(line); m != nil {
		d.Snapshot = m[1]
	} else if m := dumpPercent.FindStringSubmatch(line); m != nil {
		percent, _ := strconv.Atoi(m[1])
		d.Percent, d.Bytes, d.Total = min(percent, 100), dumpSize(m[2]), dumpSize(m[3])
	} else if m := dumpSent.FindStringSubmatch(line); m != nil {
		d.Bytes = dumpSize(m[1])
	} else if m := dumpUploaded.FindStringSubmatch(line); m != nil {
		d.Bytes = dumpSize(m[1])
	} else if m := dumpArchive.FindStringSubmatch(line); m != nil {
		if d.Total == 0 { // what "processed" counted was this archive
			d.Bytes = 0
		}
		d.Bytes += dumpSize(m[1])
		d.Total += dumpSize(m[2])
	} else if m := dumpReused.FindStringSubmatch(line); m != nil {
		if reused, err := strconv.ParseFloat(m[1], 64); err == nil && reused <= 100 {
			d.Reused = reused
		}
	} else if dumpFinished.MatchString(line) {
		d.Percent = 100
	}
}

// failed keeps the reason that says most: the guest's own, else the first.
// After the guest is finished an error is about something else, such as the mail.
func (d *DumpLog) failed(line, text string) {
	if m := dumpFailed.FindStringSubmatch(line); m != nil {
		d.Failed = bounded(m[1])
	} else if d.Failed == "" && d.Percent == 100 {
		d.warn(text)
	} else if d.Failed == "" {
		d.Failed = bounded(text)
	}
}

func (d *DumpLog) end(line string) {
	d.Ended, d.Waiting = true, false
	if reason, ok := strings.CutPrefix(line, "TASK ERROR: "); !ok {
		d.Failed = ""
	} else if d.Failed == "" {
		d.Failed = bounded(reason)
	}
}

func (d *DumpLog) warn(text string) {
	if len(d.Warnings) < maxDumpWarnings {
		d.Warnings = append(d.Warnings, bounded(text))
	}
}

// dumpSize reads a size such as 1.20 GiB, in bytes. What is no size is 0.
func dumpSize(text string) int64 {
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || unit == "" {
		return 0
	}
	for range strings.IndexByte(dumpUnits, unit[0]) {
		n *= 1024
	}
	if n < 0 || n >= 1<<62 {
		return 0
	}
	return int64(n)
}

// bounded cuts a text that a server chose; at a rune's start, so that it stays
// UTF-8.
func bounded(text string) string {
	if len(text) <= maxDumpText {
		return text
	}
	return strings.ToValidUTF8(text[:maxDumpText], "") + " ..."
}
