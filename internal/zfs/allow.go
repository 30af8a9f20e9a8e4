package zfs

import (
	"context"
	"fmt"
	"maps"
	"os/user"
	"slices"
	"strings"
)

// Allowed lists what zfs allow (zfs-allow(8)) gives the user whose process this is on
// a dataset: by name, by group, to everyone, by a set, and from the datasets above.
// root needs none of it and is not listed.
func (h *Host) Allowed(ctx context.Context, dataset string) ([]string, error) {
	if err := checkNames(dataset); err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("who am i: %w", err)
	}
	who := map[string]bool{"everyone": true, "user " + me.Username: true, "user " + me.Uid: true}
	groups, _ := me.GroupIds() // none that can be named is none that is delegated to
	for _, id := range groups {
		who["group "+id] = true
		if g, err := user.LookupGroupId(id); err == nil {
			who["group "+g.Name] = true
		}
	}
	out, err := h.run(ctx, "zfs", "allow", dataset)
	if err != nil {
		return nil, fmt.Errorf("permissions on %s: %w", dataset, err)
	}
	return parseAllowed(out, dataset, who), nil
}

// parseAllowed reads a block for each dataset, the nearest first, each with its sets
// and with who has what on it, below it, or both:
//
//	---- Permissions on tank/users ---------------------------------------
//	Permission sets:
//		@pset create,destroy
//	Local+Descendent permissions:
//		group staff @pset,mount
func parseAllowed(out, dataset string, who map[string]bool) []string {
	sets := map[string]string{} // the nearest definition of a set holds
	given := map[string]bool{}
	on, kind := "", ""
	for line := range strings.Lines(out) {
		text := strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(text, "---- Permissions on "); ok {
			on, kind = strings.TrimRight(name, " -"), ""
			continue
		}
		if !strings.HasPrefix(line, "\t") {
			kind = strings.TrimSuffix(text, ":")
			continue
		}
		i := strings.LastIndexByte(text, ' ')
		if i < 0 {
			continue
		}
		whom, what := text[:i], strings.Split(text[i+1:], ",")
		here, below := on == dataset, on != dataset
		switch {
		case kind == "Permission sets":
			if _, nearer := sets[whom]; !nearer {
				sets[whom] = text[i+1:]
			}
		case who[whom] && (kind == "Local+Descendent permissions" || kind == "Local permissions" && here || kind == "Descendent permissions" && below):
			for _, p := range what {
				given[p] = true
			}
		}
	}
	for range len(sets) { // a set may hold sets
		for name, what := range sets {
			if given[name] {
				for p := range strings.SplitSeq(what, ",") {
					given[p] = true
				}
			}
		}
	}
	maps.DeleteFunc(given, func(p string, _ bool) bool { return strings.HasPrefix(p, "@") })
	return slices.Sorted(maps.Keys(given))
}
