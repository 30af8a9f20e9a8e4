package zfs

import (
	"os"
	"strconv"
	"strings"
)

// mount is one mount of a snapshot, in the order of the kernel's table: a later
// one may hide an earlier one on the same folder.
type mount struct {
	snapshot string // dataset@name, as it is called now: ZFS keeps this current
	dir      string
}

// readMounts reads which snapshots are mounted anywhere: by a .zfs automount, by
// hand or by us.
func readMounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(data)), nil
}

func parseMounts(data string) []mount {
	var mounts []mount
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) > 2 && f[2] == "zfs" && strings.Contains(f[0], "@") {
			mounts = append(mounts, mount{snapshot: unescape(f[0]), dir: unescape(f[1])})
		}
	}
	return mounts
}

// mountedSnapshots are the names that are mounted. One mounted snapshot makes a
// whole destroy batch fail.
func mountedSnapshots() (map[string]bool, error) {
	mounts, err := readMounts()
	mounted := map[string]bool{}
	for _, m := range mounts {
		mounted[m.snapshot] = true
	}
	return mounted, err
}

// mountedOn is the snapshot that one sees in dir; empty if none.
func mountedOn(mounts []mount, dir string) string {
	seen := ""
	for _, m := range mounts {
		if m.dir == dir {
			seen = m.snapshot
		}
	}
	return seen
}

// unescape undoes the kernel's octal escapes of blanks in /proc/mounts.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
