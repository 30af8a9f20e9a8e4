package pbs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// upidForm is a task's ID, after the server's own schema. It has one field more
// than Proxmox VE's: the task's number in its daemon. (proxmox-schema, UPID)
var upidForm = regexp.MustCompile(`^UPID:[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?` +
	`:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8,16}:[0-9A-Fa-f]{8}:[^:\s/]+:([^:\s/]*):[^:\s/]+:$`)

// maxUPID bounds a UPID, in bytes; it becomes part of a path, and of a history.
const maxUPID = 512

func checkUPID(id backup.UPID) error {
	if len(id) > maxUPID || !upidForm.MatchString(string(id)) {
		return fmt.Errorf("%q is not a UPID of a Proxmox Backup Server", oneLine(string(id), 80))
	}
	return nil
}

// workerID is what a task is about, such as backups-vm:vm/101, out of its UPID,
// where systemd's escape hides it: / is -, and all but letters, digits, _ and . is
// \xNN.
func workerID(id backup.UPID) string {
	m := upidForm.FindStringSubmatch(string(id))
	if m == nil {
		return ""
	}
	var b strings.Builder
	for s := m[1]; s != ""; {
		if len(s) >= 4 && strings.HasPrefix(s, `\x`) {
			if n, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				s = s[4:]
				continue
			}
		}
		if s[0] == '-' {
			b.WriteByte('/')
		} else {
			b.WriteByte(s[0])
		}
		s = s[1:]
	}
	return b.String()
}
