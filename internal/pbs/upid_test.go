package pbs

import (
	"strings"
	"testing"

	"triplicate/internal/backup"
)

func TestWorkerIDIsUnescaped(t *testing.T) {
	for escaped, want := range map[string]string{
		`backups\x2dvm\x3avm-101`:             "backups-vm:vm/101",
		`smith\x3a-vm-101-6740A1B2`:           "smith:/vm/101/6740A1B2",
		`a.b_c`:                               "a.b_c",
		`\x`:                                  `\x`,
		`\xzz`:                                `\xzz`,
		``:                                    "",
		`remote\x3afar\x3astore\x3a\x3as\x2d`: "remote:far:store::s-",
	} {
		id := backup.UPID("UPID:pbs:000002D1:000003B9:00000001:6740A1B2:backup:" + escaped + ":root@pam!t:")
		if got := workerID(id); got != want {
			t.Errorf("%s: %q, want %q", escaped, got, want)
		}
	}
}

// FuzzUPID: whatever a server calls its tasks, it does not leave our path segment.
func FuzzUPID(f *testing.F) {
	f.Add(`UPID:pbs:000002D1:000003B9:00000001:6740A1B2:backup:a\x3avm-1:root@pam!t:`)
	f.Add("UPID:pbs:000002D1:000003B9:00000001:6740A1B2:backup:..:root@pam:")
	f.Fuzz(func(t *testing.T, id string) {
		_ = workerID(backup.UPID(id))
		if checkUPID(backup.UPID(id)) != nil {
			return
		}
		path := taskPath(backup.UPID(id), "/log")
		if strings.Count(path, "/") != strings.Count(tasks, "/")+2 || strings.ContainsAny(path, "?# \n") {
			t.Errorf("%q makes the path %q", id, path)
		}
	})
}

func TestMaintenanceIsItsType(t *testing.T) {
	for mode, want := range map[string]string{
		"":             "",
		"read-only":    "read-only",
		"type=offline": "offline",
		`type=read-only,message="a, type=offline"`: "read-only",
		`message="x",type="offline"`:               "offline",
		"message=x":                                "unknown",
		"type=":                                    "unknown",
		"read-only,message=b":                      "read-only",
	} {
		if got := maintenance(mode); got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
}
