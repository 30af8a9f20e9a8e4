package zfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// TakeSnapshots takes all or none; see activities.Snapshotter. Several names in
// one command share a transaction group.
func (h *Host) TakeSnapshots(ctx context.Context, snapshots []string, props map[string]string) error {
	if len(snapshots) == 0 {
		return nil
	}
	if err := checkNames(snapshots...); err != nil {
		return err
	}
	args := []string{"zfs", "snapshot"}
	args = append(args, optionProps(props)...)
	if _, err := h.run(ctx, append(args, snapshots...)...); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

func optionProps(props map[string]string) []string {
	var args []string
	for _, k := range slices.Sorted(maps.Keys(props)) {
		args = append(args, "-o", k+"="+props[k])
	}
	return args
}

// SetProperties sets user properties; see activities.Snapshotter.
func (h *Host) SetProperties(ctx context.Context, name string, props map[string]string) error {
	if err := checkName(name); err != nil {
		return err
	}
	args := []string{"zfs", "set"}
	for _, k := range slices.Sorted(maps.Keys(props)) {
		if !strings.Contains(k, ":") {
			return fmt.Errorf("%q is not a user property", k)
		}
		args = append(args, k+"="+props[k])
	}
	if _, err := h.run(ctx, append(args, name)...); err != nil {
		return fmt.Errorf("set properties: %w", err)
	}
	return nil
}

// Bookmark makes dataset#name from s; see activities.Snapshotter.
func (h *Host) Bookmark(ctx context.Context, s backup.Snapshot, name string) error {
	mark := s.Dataset + "#" + name
	if err := checkNames(s.String(), mark); err != nil {
		return err
	}
	_, err := h.run(ctx, "zfs", "bookmark", s.String(), mark)
	if errors.Is(err, backup.ErrExists) {
		guid, gerr := h.guid(ctx, mark)
		if gerr == nil && guid == s.GUID {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("bookmark: %w", err)
	}
	return nil
}

// guid reads the GUID behind a name.
func (h *Host) guid(ctx context.Context, name string) (backup.GUID, error) {
	out, err := h.run(ctx, "zfs", "get", "-Hp", "-o", "value", "guid", name)
	if err != nil {
		return 0, err
	}
	return backup.ParseGUID(strings.TrimSpace(out))
}

// Hold puts tag on snapshots; see activities.Snapshotter.
func (h *Host) Hold(ctx context.Context, tag string, snapshots ...string) error {
	return h.tagged(ctx, "hold", tag, "tag already exists on this dataset", snapshots)
}

// Release takes tag off snapshots; see activities.Snapshotter.
func (h *Host) Release(ctx context.Context, tag string, snapshots ...string) error {
	return h.tagged(ctx, "release", tag, "no such tag on this dataset", snapshots)
}

// tagged holds or releases one snapshot at a time: there are never many, and one
// that is already as wanted must not spoil the others.
func (h *Host) tagged(ctx context.Context, verb, tag, already string, snapshots []string) error {
	if err := checkNames(snapshots...); err != nil {
		return err
	}
	for _, s := range snapshots {
		_, err := h.run(ctx, "zfs", verb, tag, s)
		var e *Error
		if errors.As(err, &e) && strings.Contains(e.Stderr, already) {
			continue
		}
		if verb == "release" && errors.Is(err, backup.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
	}
	return nil
}

// Holds lists holds; see activities.Reader.
func (h *Host) Holds(ctx context.Context, snapshots ...string) ([]backup.Hold, error) {
	var holds []backup.Hold
	for _, part := range chunks(snapshots) {
		out, err := h.listing(ctx, []string{"zfs", "holds", "-pH"}, part)
		if err != nil {
			return nil, fmt.Errorf("list holds: %w", err)
		}
		for line := range strings.Lines(out) {
			f, err := fields(line, 3)
			if err != nil {
				return nil, fmt.Errorf("list holds: %w", err)
			}
			holds = append(holds, backup.Hold{Snapshot: f[0], Tag: f[1], Since: time.Unix(number(f[2]), 0).UTC()})
		}
	}
	return holds, nil
}

// destroyBatch is how many snapshots one destroy takes: few enough that one
// surprise does not keep many from going.
const destroyBatch = 100

// DestroySnapshots destroys by GUID; see activities.Destroyer.
func (h *Host) DestroySnapshots(ctx context.Context, dataset string, snapshots []backup.Snapshot) error {
	for batch := range slices.Chunk(snapshots, destroyBatch) {
		if err := h.destroyBatch(ctx, dataset, batch); err != nil {
			return fmt.Errorf("destroy snapshots of %s: %w", dataset, err)
		}
	}
	return nil
}

func (h *Host) destroyBatch(ctx context.Context, dataset string, batch []backup.Snapshot) error {
	want := map[string]backup.GUID{}
	var full []string
	for _, s := range batch {
		if s.Dataset != dataset {
			return fmt.Errorf("%s is not a snapshot of %s", s, dataset)
		}
		// A comma or % in the name would make the argument name other snapshots.
		if err := checkName(s.String()); err != nil {
			return err
		}
		want[s.String()] = s.GUID
		full = append(full, s.String())
	}
	out, err := h.listing(ctx, []string{"zfs", "list", "-Hp", "-t", "snapshot", "-o", "name,guid"}, full)
	if err != nil {
		return err
	}
	var names []string
	for line := range strings.Lines(out) {
		f, err := fields(line, 2)
		if err != nil {
			return err
		}
		if want[f[0]].String() != f[1] {
			return fmt.Errorf("%s: guid %s instead of %s: %w", f[0], f[1], want[f[0]], backup.ErrChanged)
		}
		_, name, _ := strings.Cut(f[0], "@")
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil // gone already
	}
	_, err = h.run(ctx, "zfs", "destroy", dataset+"@"+strings.Join(names, ","))
	if errors.Is(err, backup.ErrNotFound) {
		return nil
	}
	return err
}

// DestroyBookmark destroys b; see activities.Destroyer.
func (h *Host) DestroyBookmark(ctx context.Context, b backup.Bookmark) error {
	if err := checkName(b.String()); err != nil {
		return err
	}
	if !strings.Contains(b.String(), "#") {
		return fmt.Errorf("%s is not a bookmark", b)
	}
	guid, err := h.guid(ctx, b.String())
	if errors.Is(err, backup.ErrNotFound) {
		return nil
	}
	if err == nil && guid != b.GUID {
		err = backup.ErrChanged
	}
	if err == nil {
		_, err = h.run(ctx, "zfs", "destroy", b.String())
	}
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("destroy bookmark %s: %w", b, err)
	}
	return nil
}
