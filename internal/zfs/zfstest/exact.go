package zfstest

import (
	"context"
	"slices"

	"triplicate/internal/backup"
)

// Exactly sees just these datasets.
func (h *Host) Exactly(ctx context.Context, names ...string) ([]backup.Dataset, []backup.Snapshot, []backup.Bookmark, error) {
	if len(names) == 0 {
		return nil, nil, nil, nil
	}
	datasets, err := h.Datasets(ctx, names...)
	if err != nil {
		return nil, nil, nil, err
	}
	snaps, marks, err := h.Points(ctx, names...)
	if err != nil {
		return nil, nil, nil, err
	}
	below := func(name string) bool { return !slices.Contains(names, name) }
	return slices.DeleteFunc(datasets, func(d backup.Dataset) bool { return below(d.Name) }),
		slices.DeleteFunc(snaps, func(s backup.Snapshot) bool { return below(s.Dataset) }),
		slices.DeleteFunc(marks, func(b backup.Bookmark) bool { return below(b.Dataset) }), nil
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
