package zfs

import (
	"fmt"
	"strings"
)

// checkName refuses what could be read as an option or as more than one name.
// ZFS allows letters, digits and "-_.: " in components, with / @ # between them
// (zfsconcepts(7), zcmd name checks in module/zcommon/zfs_namecheck.c).
func checkName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%q is not a ZFS name: %s", name, why) }
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > 255:
		return bad("it is longer than 255 bytes")
	case strings.Count(name, "@")+strings.Count(name, "#") > 1:
		return bad("it has more than one @ or #")
	}
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@# ", r)
		if !ok {
			return bad(fmt.Sprintf("character %q at byte %d", r, i))
		}
	}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '@' || r == '#' }) {
		for _, c := range strings.Split(part, "/") {
			if c == "" || c == "." || c == ".." {
				return bad("it has an empty component")
			}
		}
	}
	if strings.HasPrefix(name, "-") {
		return bad("it begins with -")
	}
	return nil
}

func checkNames(names ...string) error {
	for _, n := range names {
		if err := checkName(n); err != nil {
			return err
		}
	}
	return nil
}

// maxArgs bounds the bytes of names in one command, well under Linux's 128 KiB
// for one argument and the 2 MiB for all.
const maxArgs = 96 << 10

// chunks splits names so that each part fits in one command.
func chunks(names []string) [][]string {
	var out [][]string
	size := 0
	for _, n := range names {
		if len(out) == 0 || size+len(n)+1 > maxArgs {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], n)
		size += len(n) + 1
	}
	return out
}
