package zfstest

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// TakeSnapshots takes all or none, in one transaction group.
func (h *Host) TakeSnapshots(ctx context.Context, names []string, props map[string]string) error {
	return h.change(ctx, "snapshot "+strings.Join(names, " "), func() error {
		for _, n := range names {
			ds, _, _ := strings.Cut(n, "@")
			if h.datasets[ds] == nil {
				return missing(ds)
			}
			if h.snap(n) != nil {
				return fmt.Errorf("%s: dataset %w", n, backup.ErrExists)
			}
		}
		h.txg++
		for _, n := range names {
			ds, name, _ := strings.Cut(n, "@")
			h.guid++
			d := h.datasets[ds]
			d.snaps = append(d.snaps, &snapshot{
				SnapshotFacts: backup.SnapshotFacts{
					Snapshot: backup.Snapshot{Dataset: ds, Name: name, GUID: h.guid, CreateTXG: h.txg},
					Creation: h.now().UTC(),
				},
				files: maps.Clone(d.files), holds: map[string]time.Time{}, local: maps.Clone(props),
			})
		}
		return nil
	})
}

// SetProperties sets user properties.
func (h *Host) SetProperties(ctx context.Context, name string, props map[string]string) error {
	return h.change(ctx, "set "+name, func() error {
		if s := h.snap(name); s != nil {
			if s.local == nil {
				s.local = map[string]string{}
			}
			maps.Copy(s.local, props)
			return nil
		}
		d := h.datasets[name]
		if d == nil {
			return missing(name)
		}
		for k, v := range props {
			d.Properties[k] = backup.Property{Value: v, Source: "local"}
		}
		return nil
	})
}

// Bookmark makes a bookmark.
func (h *Host) Bookmark(ctx context.Context, s backup.Snapshot, name string) error {
	return h.change(ctx, "bookmark "+s.String()+" #"+name, func() error {
		d := h.datasets[s.Dataset]
		if d == nil || h.snap(s.String()) == nil {
			return missing(s.String())
		}
		for _, b := range d.marks {
			if b.Name == name && b.GUID != s.GUID {
				return fmt.Errorf("%s: bookmark %w", b, backup.ErrExists)
			}
			if b.Name == name {
				return nil
			}
		}
		d.marks = append(d.marks, backup.Bookmark{Dataset: s.Dataset, Name: name, GUID: s.GUID, CreateTXG: s.CreateTXG})
		return nil
	})
}

// Hold holds snapshots.
func (h *Host) Hold(ctx context.Context, tag string, names ...string) error {
	return h.change(ctx, "hold "+tag+" "+strings.Join(names, " "), func() error {
		for _, n := range names {
			s := h.snap(n)
			if s == nil {
				return missing(n)
			}
			s.holds[tag] = h.now()
		}
		return nil
	})
}

// Release lets go of snapshots.
func (h *Host) Release(ctx context.Context, tag string, names ...string) error {
	return h.change(ctx, "release "+tag+" "+strings.Join(names, " "), func() error {
		for _, n := range names {
			if s := h.snap(n); s != nil {
				delete(s.holds, tag)
			}
		}
		return nil
	})
}

// DestroySnapshots destroys a batch or none of it.
func (h *Host) DestroySnapshots(ctx context.Context, ds string, snaps []backup.Snapshot) error {
	return h.change(ctx, fmt.Sprint("destroy ", snaps), func() error {
		gone := map[string]bool{}
		for _, want := range snaps {
			s := h.snap(want.String())
			switch {
			case s == nil:
				continue
			case s.GUID != want.GUID:
				return fmt.Errorf("%s: %w", want, backup.ErrChanged)
			case len(s.holds) > 0:
				return fmt.Errorf("%s: %w", want, backup.ErrHeld)
			case len(s.Clones) > 0:
				return fmt.Errorf("%s: %w", want, backup.ErrCloned)
			case s.Mounted:
				return fmt.Errorf("%s: %w", want, backup.ErrBusy)
			}
			gone[s.Name] = true
		}
		if d := h.datasets[ds]; d != nil {
			d.snaps = slices.DeleteFunc(d.snaps, func(s *snapshot) bool { return gone[s.Name] })
		}
		return nil
	})
}

// DestroyBookmark destroys a bookmark.
func (h *Host) DestroyBookmark(ctx context.Context, b backup.Bookmark) error {
	return h.change(ctx, "destroy "+b.String(), func() error {
		d := h.datasets[b.Dataset]
		if d == nil {
			return nil
		}
		for _, have := range d.marks {
			if have.Name == b.Name && have.GUID != b.GUID {
				return fmt.Errorf("%s: %w", b, backup.ErrChanged)
			}
		}
		d.marks = slices.DeleteFunc(d.marks, func(x backup.Bookmark) bool { return x.Name == b.Name })
		return nil
	})
}

// Create makes a holder of replicas and its parents.
func (h *Host) Create(ctx context.Context, name string) error {
	return h.change(ctx, "create "+name, func() error { return h.create(name) })
}

func (h *Host) create(name string) error {
	if h.datasets[name] != nil {
		return nil
	}
	if !strings.Contains(name, "/") {
		return missing(name)
	}
	if err := h.create(path.Dir(name)); err != nil {
		return err
	}
	d := h.add(name, backup.Filesystem)
	d.Mounted, d.ReadOnly = false, true
	return nil
}
