package backup

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Where is where a path is to be restored from.
type Where string

// The places of a restore that are not an offsite target's name.
const (
	FromSnapshot Where = "snapshot"
	FromReplica  Where = "replica"
)

// SplitPath says which dataset a path is in and where it is in there. A path is
// dataset/path, with or without a slash before it: /nvme/personal/a/b is a/b in
// nvme/personal. The dataset is the longest that fits among names, which may be
// gone from the pools. It is an error for a path to leave its dataset.
func SplitPath(full string, names []string) (dataset, rel string, err error) {
	clean := strings.TrimPrefix(full, "/")
	if slices.Contains(strings.Split(clean, "/"), "..") || strings.ContainsRune(clean, 0) {
		return "", "", fmt.Errorf("path %q: must not have .. in it", full)
	}
	clean = path.Clean(clean)
	for _, n := range names {
		if Under(clean, n) && len(n) > len(dataset) {
			dataset = n
		}
	}
	rel = strings.TrimPrefix(strings.TrimPrefix(clean, dataset), "/")
	switch {
	case dataset == "":
		return "", "", fmt.Errorf("path %q is in no dataset that Triplicate knows; write dataset/path, such as nvme/personal/diary", full)
	case rel == "":
		return "", "", fmt.Errorf("path %q is a whole dataset; name a file in it", full)
	}
	return dataset, rel, nil
}

// PointAt is the newest of our snapshots whose stamp is not after at (empty: the
// newest of all).
func PointAt(prefix string, snaps []Snapshot, at Stamp) (Snapshot, bool) {
	var found Snapshot
	ok := false
	for _, s := range snaps {
		stamp, ours := StampIn(prefix, s.Name)
		if ours && (at == "" || stamp <= at) && (!ok || ByCreateTXG(s, found) > 0) {
			found, ok = s, true
		}
	}
	return found, ok
}
