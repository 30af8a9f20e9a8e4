package zfs

import (
	"os"
	"strconv"
	"strings"
)

// mountedSnapshots reads which snapshots are mounted anywhere: by a .zfs automount
// or by hand. One mounted snapshot makes a whole destroy batch fail.
func mountedSnapshots() (map[string]bool, error) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	return parseMounts(string(data)), nil
}

func parseMounts(data string) map[string]bool {
	mounted := map[string]bool{}
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) > 2 && f[2] == "zfs" && strings.Contains(f[0], "@") {
			mounted[unescape(f[0])] = true
		}
	}
	return mounted
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
