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
	for _, name := range slices.Sorted(maps.Keys(h.pools)) {
		pools = append(pools, *h.pools[name])
	}
	return pools, nil
}

// Datasets lists datasets.
func (h *Host) Datasets(_ context.Context, roots ...string) ([]backup.Dataset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.readable(h.asked(roots)...); err != nil {
		return nil, err
	}
	return h.listed(h.sorted(roots))
}

// listed are datasets as a listing has them.
func (h *Host) listed(found []*dataset) ([]backup.Dataset, error) {
	var out []backup.Dataset
	for _, d := range found {
		c := d.Dataset
		c.Properties = h.inherited(d)
		if d.partial != nil {
			c.ResumeToken = token(d.Name)
		}
		var err error
		if c.Referenced, err = newer("", d.tree); err != nil {
			return nil, err
		}
		last := ""
		if len(d.snaps) > 0 {
			last = d.snaps[len(d.snaps)-1].tree
		}
		if c.Written, err = newer(last, d.tree); err != nil {
			return nil, err
		}
		c.Available = 1 << 31
		out = append(out, c)
	}
	return out, nil
}

// asked are the roots of a listing; none means every pool.
func (h *Host) asked(roots []string) []string {
	if len(roots) == 0 {
		return slices.Sorted(maps.Keys(h.pools))
	}
	return roots
}

// inherited are a dataset's user properties with those of its parents.
func (h *Host) inherited(d *dataset) map[string]backup.Property {
	props := map[string]backup.Property{}
	for end := range len(d.Name) + 1 {
		if end < len(d.Name) && d.Name[end] != '/' || h.datasets[d.Name[:end]] == nil {
			continue
		}
		for k, p := range h.datasets[d.Name[:end]].Properties {
			if end < len(d.Name) {
				p.Source = "inherited from " + d.Name[:end]
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
	if err := h.readable(h.asked(roots)...); err != nil {
		return nil, nil, err
	}
	var snaps []backup.Snapshot
	var marks []backup.Bookmark
	for _, d := range h.sorted(roots) {
		for _, s := range d.snaps {
			snaps = append(snaps, s.Snapshot)
		}
		for _, m := range d.marks {
			marks = append(marks, m.Bookmark)
		}
	}
	return snaps, marks, nil
}

// Facts reads the slow columns.
func (h *Host) Facts(_ context.Context, names ...string) ([]backup.SnapshotFacts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.readable(names...); err != nil {
		return nil, err
	}
	var out []backup.SnapshotFacts
	names = slices.Sorted(slices.Values(names)) // as the real listing is
	for _, n := range slices.Compact(names) {
		s := h.snap(n)
		if s == nil {
			continue
		}
		f := s.SnapshotFacts
		f.UserRefs, f.Mounted, f.Clones = len(s.holds), s.any(), h.clones(n)
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

// clones are the datasets made from a snapshot.
func (h *Host) clones(snapshot string) []string {
	var names []string
	for _, d := range h.sorted(nil) {
		if d.Origin == snapshot {
			names = append(names, d.Name)
		}
	}
	return names
}

// Written is how much of a snapshot is newer than another, or than a bookmark.
func (h *Host) Written(_ context.Context, to backup.Snapshot, since string) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.readable(to.Dataset); err != nil {
		return 0, err
	}
	have := h.snap(to.String())
	if have == nil {
		return 0, missing(to.String())
	}
	if have.GUID != to.GUID {
		return 0, fmt.Errorf("%s: %w", to, backup.ErrChanged)
	}
	base, txg := "", uint64(0)
	if s := h.snap(to.Dataset + since); s != nil {
		base, txg = s.tree, s.CreateTXG
	}
	for _, m := range h.datasets[to.Dataset].marks {
		if "#"+m.Name == since {
			base, txg = m.tree, m.CreateTXG
		}
	}
	if base == "" {
		return 0, missing(to.Dataset + since)
	}
	if txg > have.CreateTXG {
		return 0, fmt.Errorf("%s is older than %s", to, since)
	}
	return newer(base, have.tree)
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
