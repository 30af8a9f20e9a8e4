package zfs

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// Written asks how much of a snapshot is newer than another; see
// activities.Reader.
func (h *Host) Written(ctx context.Context, to backup.Snapshot, since string) (int64, error) {
	if !strings.HasPrefix(since, "@") && !strings.HasPrefix(since, "#") {
		return 0, fmt.Errorf("written: %q is neither @snapshot nor #bookmark", since)
	}
	base := to.Dataset + since
	if err := checkNames(to.String(), base); err != nil {
		return 0, fmt.Errorf("written: %w", err)
	}
	prop := "written" + since
	props, err := h.properties(ctx, to.String(), "guid", prop)
	if err != nil {
		return 0, fmt.Errorf("written: %w", err)
	}
	if props["guid"] != to.GUID.String() {
		return 0, fmt.Errorf("written: %s: guid %s instead of %s: %w", to, props["guid"], to.GUID, backup.ErrChanged)
	}
	n, err := strconv.ParseInt(props[prop], 10, 64)
	if err == nil {
		return n, nil
	}
	// zfs get prints "-" whatever the reason.
	if _, err := h.guid(ctx, base); err != nil {
		return 0, fmt.Errorf("written since %s: %w", base, err)
	}
	return 0, fmt.Errorf("written: ZFS cannot tell %s of %s (%q): is it older?", prop, to, props[prop])
}

// properties reads some properties of one object; "-" is what does not apply.
func (h *Host) properties(ctx context.Context, name string, props ...string) (map[string]string, error) {
	out, err := h.run(ctx, "zfs", "get", "-Hp", "-o", "property,value", strings.Join(props, ","), name)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(out) {
		f, err := fields(line, 2)
		if err != nil {
			return nil, err
		}
		values[f[0]] = f[1]
	}
	return values, nil
}
