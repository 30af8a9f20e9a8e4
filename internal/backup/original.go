package backup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// PropOriginal is on replicas: what was set on the source itself. A plain send
// carries no properties, and a raw one's are overridden on a replica, so this is
// all that a restore has of them.
const PropOriginal = "triplicate:original"

// maxOriginal bounds PropOriginal, in bytes: a user property's value ends at 8191
// (zfsprops(7)).
const maxOriginal = 8000

// leftOut counts, in PropOriginal, what did not fit.
const leftOut = "triplicate:left-out"

// Originals is the value of PropOriginal for a source on which these properties
// were set: JSON, the same for the same properties. Our own marks are not in it.
// What does not fit is left out, user properties first, and counted. Where the
// source is a replica itself, it passes on what it has of its own source.
func Originals(set map[string]string) string {
	if passed, ok := set[PropOriginal]; ok {
		return passed
	}
	names := slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		user := func(s string) int { return min(1, strings.Count(s, ":")) }
		if d := user(a) - user(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	kept, size, left := map[string]string{}, len(`{"":"",}`)+len(leftOut)+3, 0
	for _, name := range names {
		if strings.HasPrefix(name, "triplicate:") {
			continue
		}
		pair := map[string]string{name: set[name]}
		data, err := json.Marshal(pair)
		if err != nil || size+len(data) > maxOriginal {
			left++
			continue
		}
		kept[name] = set[name]
		size += len(data)
	}
	if left > 0 {
		kept[leftOut] = strconv.Itoa(left)
	}
	data, _ := json.Marshal(kept) // each pair was marshalled already
	return string(data)
}

// ParseOriginals reads PropOriginal: ZFS's own properties and the operator's.
func ParseOriginals(value string) (map[string]string, error) {
	set := map[string]string{}
	if err := json.Unmarshal([]byte(value), &set); err != nil {
		return nil, fmt.Errorf("%s: %w", PropOriginal, err)
	}
	delete(set, leftOut)
	return set, nil
}
