package zfs

import (
	"context"
	"fmt"
	"strings"

	"triplicate/internal/backup"
)

// Exactly sees just these datasets; see activities.Reader.
func (h *Host) Exactly(ctx context.Context, datasets ...string) ([]backup.Dataset, []backup.Snapshot, []backup.Bookmark, error) {
	fail := func(err error) ([]backup.Dataset, []backup.Snapshot, []backup.Bookmark, error) {
		return nil, nil, nil, fmt.Errorf("look at %s: %w", strings.Join(datasets, ", "), err)
	}
	if err := checkNames(datasets...); err != nil || len(datasets) == 0 {
		return nil, nil, nil, err
	}
	args := []string{
		"zfs", "get", "-Hp", "-t", "filesystem,volume",
		"-o", "name,property,value,source", strings.Join(datasetProps, ","),
	}
	out, err := h.listed(ctx, args, datasets)
	if err != nil {
		return fail(err)
	}
	found, err := parseDatasets(out)
	if err != nil {
		return fail(err)
	}
	// One level down are a dataset's own snapshots and bookmarks.
	args = []string{"zfs", "list", "-Hp", "-d", "1", "-t", "snapshot,bookmark", "-o", pointColumns}
	if out, err = h.listed(ctx, args, datasets); err != nil {
		return fail(err)
	}
	snaps, marks, err := parsePoints(out)
	if err != nil {
		return fail(err)
	}
	return found, snaps, marks, nil
}

// Locals lists what was set on datasets themselves; see activities.Reader.
func (h *Host) Locals(ctx context.Context, roots ...string) (map[string]map[string]string, error) {
	args := []string{
		"zfs", "get", "-Hp", "-r", "-t", "filesystem,volume", "-s", "local,received",
		"-o", "name,property,value", "all",
	}
	out, err := h.listing(ctx, args, roots)
	if err != nil {
		return nil, fmt.Errorf("list properties: %w", err)
	}
	return parseLocals(out), nil
}

// parseLocals reads lines of name, property and value. A user property's value may
// hold line ends: what is not such a line goes on with the value before.
func parseLocals(out string) map[string]map[string]string {
	all := map[string]map[string]string{}
	var name, prop string
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) < 3 {
			if all[name] != nil {
				all[name][prop] += "\n" + strings.TrimSuffix(line, "\n")
			}
			continue
		}
		name, prop = f[0], f[1]
		if all[name] == nil {
			all[name] = map[string]string{}
		}
		all[name][prop] = f[2]
	}
	return all
}
