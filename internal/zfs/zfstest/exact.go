package zfstest

import (
	"context"
	"slices"

	"triplicate/internal/backup"
)

// Exactly sees just these datasets.
func (h *Host) Exactly(_ context.Context, names ...string) (datasets []backup.Dataset, snaps []backup.Snapshot, marks []backup.Bookmark, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.readable(names...); err != nil {
		return nil, nil, nil, err
	}
	var found []*dataset
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		d := h.datasets[name]
		if d == nil {
			continue
		}
		found = append(found, d)
		for _, s := range d.snaps {
			snaps = append(snaps, s.Snapshot)
		}
		for _, m := range d.marks {
			marks = append(marks, m.Bookmark)
		}
	}
	datasets, err = h.listed(found)
	return datasets, snaps, marks, err
}

// Locals lists what was set on datasets themselves.
func (h *Host) Locals(_ context.Context, roots ...string) (map[string]map[string]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.readable(h.asked(roots)...); err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for _, d := range h.sorted(roots) {
		set := map[string]string{}
		for name, value := range d.native {
			set[name] = value
		}
		for name, p := range d.Properties {
			set[name] = p.Value
		}
		if len(set) > 0 {
			all[d.Name] = set
		}
	}
	return all, nil
}
