package pbstest

import (
	"fmt"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// keepOf reads the keep-* options.
func keepOf(c *call) (last int, k backup.Keep, options string) {
	n := func(name string) int {
		v := int(c.num("keep-"+name, 0))
		if v > 0 {
			options += fmt.Sprintf(" --keep-%s %d", name, v)
		}
		return v
	}
	last = n("last")
	k = backup.Keep{Hourly: n("hourly"), Daily: n("daily"), Weekly: n("weekly"), Monthly: n("monthly"), Yearly: n("yearly")}
	return last, k, strings.TrimSpace(options)
}

// prune prunes one group at once and returns its marks, oldest first; with
// use-task it returns the task instead. A dry run makes no task.
func (s *Server) prune(c *call, d *datastore) (any, error) {
	last, keep, options := keepOf(c)
	group := c.str("backup-type") + "/" + c.str("backup-id")
	list := c.of(d)
	marks := s.marks(list, last, keep)
	if !c.yes("dry-run", false) {
		t := s.start("prune", fmt.Sprintf("%s:%s:%s", d.Name, c.str("ns"), group), c.token.id)
		t.say(t.started, "retention options: %s", options)
		t.say(t.started, "Starting prune on datastore '%s' group \"%s\"", d.Name, group)
		carryOutPrune(t, d, list, marks, "%[2]s %[1]s")
		t.end(t.started, t.result())
		if c.yes("use-task", false) {
			return t.upid(), nil
		}
	}
	rows := []map[string]any{}
	for _, snap := range list {
		row, mark := snap.place(), marks[snap]
		row["keep"], row["protected"] = mark.Keep, mark.Protected
		if snap.ns != "" && c.yes("dry-run", false) {
			row["ns"] = snap.ns
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// pruneDatastore prunes all groups of a namespace and those below, in a task.
func (s *Server) pruneDatastore(c *call, d *datastore) (any, error) {
	last, keep, options := keepOf(c)
	t := s.start("prune", d.Name+":"+c.str("ns"), c.token.id)
	t.say(t.started, "Starting datastore prune on datastore '%s', root namespace, down to full depth", d.Name)
	t.say(t.started, "retention options: %s", options)
	for _, list := range byGroup(c.within(d, int(c.num("max-depth", maxDepth)))) {
		t.say(t.started, "Pruning group %s:\"%s\"", list[0].ns, list[0].Group)
		if !c.yes("dry-run", false) {
			carryOutPrune(t, d, list, s.marks(list, last, keep), "%s %s")
		}
	}
	t.end(t.started, t.result())
	return t.upid(), nil
}

// marks asks the rule, in the server's own zone.
func (s *Server) marks(list []*snapshot, last int, keep backup.Keep) map[*snapshot]backup.PruneMark {
	var backups []backup.GuestBackup
	for _, snap := range list {
		backups = append(backups, snap.GuestBackup)
	}
	out := map[*snapshot]backup.PruneMark{}
	for _, m := range backup.PBSPruneLast(backups, last, keep, s.conf.Zone) {
		i := slices.IndexFunc(list, func(snap *snapshot) bool { return snap.Time.Equal(m.Time) })
		out[list[i]] = m
	}
	return out
}

// carryOutPrune removes what is marked so, oldest first. A backup that is being
// written is locked, so it stays, with a warning.
// How a line reads differs between the two calls; the arguments are mark and backup.
func carryOutPrune(t *task, d *datastore, list []*snapshot, marks map[*snapshot]backup.PruneMark, line string) {
	for _, snap := range list {
		m, word := marks[snap], "remove"
		switch {
		case m.Protected:
			word = "protected"
		case m.Keep && !snap.Finished:
			word = "keep-partial"
		case m.Keep:
			word = "keep"
		}
		t.say(t.started, line, word, snap.ID())
		switch {
		case m.Keep:
		case snap.writer.alive():
			t.warnings++
			t.say(t.started, "failed to remove dir \"%s\": unable to acquire lock - possibly running or in use", snap.ID())
		default:
			d.remove(snap)
		}
	}
}
