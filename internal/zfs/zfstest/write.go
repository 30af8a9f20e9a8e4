package zfstest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
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
			if err := h.writable(ds); err != nil {
				return err
			}
		}
		h.txg++
		for _, n := range names {
			ds, name, _ := strings.Cut(n, "@")
			h.guid++
			d, tree := h.datasets[ds], h.newTree(h.guid)
			if err := copyTree(d.tree, tree); err != nil {
				return err
			}
			d.snaps = append(d.snaps, &snapshot{
				SnapshotFacts: backup.SnapshotFacts{
					Snapshot: backup.Snapshot{Dataset: ds, Name: name, GUID: h.guid, CreateTXG: h.txg},
					Creation: h.now().UTC(),
				},
				tree: tree, holds: map[string]time.Time{}, local: maps.Clone(props),
			})
		}
		return nil
	})
}

// SetProperties sets user properties.
func (h *Host) SetProperties(ctx context.Context, name string, props map[string]string) error {
	return h.change(ctx, "set "+name, func() error {
		if err := h.writable(name); err != nil {
			return err
		}
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
		d, have := h.datasets[s.Dataset], h.snap(s.String())
		if d == nil || have == nil {
			return missing(s.String())
		}
		if err := h.writable(s.Dataset); err != nil {
			return err
		}
		for _, b := range d.marks {
			if b.Name == name && b.GUID != s.GUID {
				return fmt.Errorf("%s: bookmark %w", b, backup.ErrExists)
			}
			if b.Name == name {
				return nil
			}
		}
		made := backup.Bookmark{Dataset: s.Dataset, Name: name, GUID: s.GUID, CreateTXG: have.CreateTXG}
		d.marks = append(d.marks, mark{Bookmark: made, tree: have.tree})
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
			if err := h.writable(n); err != nil {
				return err
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
		if err := h.writable(ds); err != nil {
			return err
		}
		var gone []string
		for _, want := range snaps {
			s := h.snap(want.String())
			switch {
			case s == nil:
				continue
			case s.GUID != want.GUID:
				return fmt.Errorf("%s: %w", want, backup.ErrChanged)
			case len(s.holds) > 0:
				return fmt.Errorf("%s: %w", want, backup.ErrHeld)
			case len(h.clones(want.String())) > 0:
				return fmt.Errorf("%s: %w", want, backup.ErrCloned)
			case s.any():
				return fmt.Errorf("%s: %w", want, backup.ErrBusy)
			}
			gone = append(gone, s.Name)
		}
		return h.destroy(h.datasets[ds], gone)
	})
}

// DestroyBookmark destroys a bookmark.
func (h *Host) DestroyBookmark(ctx context.Context, b backup.Bookmark) error {
	return h.change(ctx, "destroy "+b.String(), func() error {
		d := h.datasets[b.Dataset]
		if d == nil {
			return nil
		}
		i := slices.IndexFunc(d.marks, func(m mark) bool { return m.Name == b.Name })
		if i < 0 {
			return nil
		}
		m := d.marks[i]
		if m.GUID != b.GUID {
			return fmt.Errorf("%s: %w", b, backup.ErrChanged)
		}
		if err := h.writable(b.Dataset); err != nil {
			return err
		}
		d.marks = slices.Delete(d.marks, i, i+1)
		if slices.ContainsFunc(d.snaps, func(s *snapshot) bool { return s.tree == m.tree }) ||
			slices.ContainsFunc(d.marks, func(o mark) bool { return o.tree == m.tree }) {
			return nil
		}
		return os.RemoveAll(m.tree)
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
	if err := h.writable(name); err != nil {
		return err
	}
	d, err := h.add(name, backup.Filesystem)
	if err != nil {
		return err
	}
	d.Mounted, d.ReadOnly = false, true
	d.native["canmount"], d.native["readonly"] = "off", "on"
	d.Properties[backup.PropContainer] = backup.Property{Value: "on", Source: "local"}
	return nil
}

// setNative sets one of ZFS's own properties.
func (h *Host) setNative(d *dataset, name, value string) error {
	d.native[name] = value
	switch name {
	case "readonly":
		d.ReadOnly = value == "on"
	case "quota":
		if value == "none" {
			value = "0"
		}
		n, err := strconv.ParseInt(value, 10, 64)
		d.quota = n
		return err
	}
	return nil
}
