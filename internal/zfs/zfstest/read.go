package zfstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// Pools lists the pools.
func (h *Host) Pools(context.Context) ([]backup.Pool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var pools []backup.Pool
	for _, d := range h.sorted(nil) {
		if !strings.Contains(d.Name, "/") {
			pools = append(pools, backup.Pool{Name: d.Name, Health: "ONLINE", Size: 1 << 32, Free: 1 << 31})
		}
	}
	return pools, nil
}

// Datasets lists datasets.
func (h *Host) Datasets(_ context.Context, roots ...string) ([]backup.Dataset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []backup.Dataset
	for _, d := range h.sorted(roots) {
		c := d.Dataset
		c.Properties = h.inherited(d)
		if d.partial != nil {
			c.ResumeToken = token(d.Name)
		}
		out = append(out, c)
	}
	return out, nil
}

// inherited are a dataset's user properties with those of its parents.
func (h *Host) inherited(d *dataset) map[string]backup.Property {
	props := map[string]backup.Property{}
	for _, name := range slices.Sorted(maps.Keys(h.datasets)) {
		if !backup.Under(d.Name, name) {
			continue
		}
		for k, p := range h.datasets[name].Properties {
			if name != d.Name {
				p.Source = "inherited from " + name
			}
			props[k] = p
		}
	}
	return props
}

// Points lists snapshots and bookmarks.
func (h *Host) Points(_ context.Context, roots ...string) ([]backup.Snapshot, []backup.Bookmark, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var snaps []backup.Snapshot
	var marks []backup.Bookmark
	for _, d := range h.sorted(roots) {
		for _, s := range d.snaps {
			snaps = append(snaps, s.Snapshot)
		}
		marks = append(marks, d.marks...)
	}
	return snaps, marks, nil
}

// Facts reads the slow columns.
func (h *Host) Facts(_ context.Context, names ...string) ([]backup.SnapshotFacts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []backup.SnapshotFacts
	for _, n := range names {
		s := h.snap(n)
		if s == nil {
			continue
		}
		f := s.SnapshotFacts
		f.UserRefs = len(s.holds)
		f.Properties = map[string]backup.Property{}
		// A dataset's user property shows on its snapshots as inherited.
		for k, p := range h.inherited(h.datasets[s.Dataset]) {
			p.Source = "inherited from " + s.Dataset
			f.Properties[k] = p
		}
		for k, v := range s.local {
			f.Properties[k] = backup.Property{Value: v, Source: "local"}
		}
		out = append(out, f)
	}
	return out, nil
}

// Holds lists holds.
func (h *Host) Holds(_ context.Context, names ...string) ([]backup.Hold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []backup.Hold
	for _, n := range names {
		if s := h.snap(n); s != nil {
			for _, tag := range slices.Sorted(maps.Keys(s.holds)) {
				out = append(out, backup.Hold{Snapshot: n, Tag: tag, Since: s.holds[tag]})
			}
		}
	}
	return out, nil
}

func token(target string) string { return "1-" + strings.ReplaceAll(target, "/", "_") }

// Token decodes a resume token; stale once its snapshot is gone.
func (h *Host) Token(_ context.Context, text string) (backup.Token, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.datasets {
		if d.partial == nil || token(d.Name) != text {
			continue
		}
		s := h.snap(d.partial.token.ToName)
		if s == nil || s.GUID != d.partial.token.ToGUID {
			return backup.Token{}, fmt.Errorf("%s: %w", d.partial.token.ToName, backup.ErrStaleToken)
		}
		return d.partial.token, nil
	}
	return backup.Token{}, fmt.Errorf("token %s: %w", strconv.Quote(text), backup.ErrStaleToken)
}
