package activities

import (
	"context"
	"fmt"
	"strings"

	"triplicate/internal/backup"
)

// keepOriginals records on a replica what is set on its sources, for a restore:
// one command to see both, and one for each dataset where it differs. That it could
// not is a warning, not a reason to copy nothing.
func (a *Pools) keepOriginals(ctx context.Context, r backup.Replica, w World) []Item {
	set, err := a.ZFS.Locals(ctx, r.Source, r.Target)
	if err != nil {
		return []Item{{Name: r.Source, Outcome: backup.Warning, Detail: "its properties could not be recorded on the replica: " + err.Error()}}
	}
	var items []Item
	for _, c := range w.cover.Sources(r) {
		source, target := c.Dataset, w.dataset(r.TargetOf(c.Dataset.Name))
		if target == nil || !copyOf(*target, source) {
			continue // not there yet, or not ours to write on
		}
		want := backup.Originals(set[source.Name])
		if set[target.Name][backup.PropOriginal] == want {
			continue
		}
		if err := a.ZFS.SetProperties(ctx, target.Name, map[string]string{backup.PropOriginal: want}); err != nil {
			items = append(items, Item{
				Name: source.Name, Outcome: backup.Warning,
				Detail: fmt.Sprintf("its properties could not be recorded on %s: %v", target.Name, err),
			})
		}
	}
	return items
}

// copyOf says whether target is marked as the replica of source.
func copyOf(target, source backup.Dataset) bool {
	mark := target.Properties[backup.PropSource]
	guid, _, _ := strings.Cut(mark.Value, " ")
	return mark.Local() && guid == source.GUID.String()
}
