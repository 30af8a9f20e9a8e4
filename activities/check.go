package activities

import (
	"context"
	"fmt"
	"time"

	"triplicate/internal/backup"
)

// Finding is something that check has to say. ID is stable; docs/operations.md
// has a section for each.
type Finding struct {
	ID      string         `json:"id"`
	Outcome backup.Outcome `json:"outcome"` // ok, warning or failed
	Text    string         `json:"text"`
}

// Check compares the config with this machine's pools and changes nothing.
func (a *Pools) Check(ctx context.Context) []Finding {
	var out []Finding
	say := func(o backup.Outcome, id, format string, args ...any) {
		out = append(out, Finding{ID: id, Outcome: o, Text: fmt.Sprintf(format, args...)})
	}
	pools, err := a.ZFS.Pools(ctx)
	if err != nil {
		say(backup.Failed, "zfs", "cannot list pools: %v; is ZFS loaded, and are you root?", err)
		return out
	}
	a.checkPools(pools, say)
	w, err := a.look(ctx)
	if err != nil {
		say(backup.Failed, "zfs", "cannot list datasets: %v", err)
		return out
	}
	for _, pool := range a.roots() {
		if err := w.Failed[pool]; err != nil {
			say(backup.Failed, "zfs", "cannot list pool %s: %v", pool, err)
		}
	}
	for _, m := range w.cover.Missing {
		if w.Failed[backup.PoolOf(m)] == nil {
			say(backup.Failed, "missing", "%s is in the config but not on this machine", m)
		}
	}
	for _, d := range w.cover.Uncovered() {
		say(backup.Warning, "uncovered", "%s is under no row: nothing snapshots it (add a row, or one with frequency: disabled)", d)
	}
	for _, d := range w.cover.Unkept() {
		say(backup.Warning, "unkept", "%s gets snapshots but no row says how many to keep", d)
	}
	for _, r := range a.Policy.Replicas {
		// A source on a pool that nobody can see is not gone.
		if w.dataset(backup.PoolOf(r.Source)) != nil {
			for _, o := range backup.Orphans(r, w.cover) {
				say(backup.Warning, "orphan", "%s is a copy of a dataset that is gone; it is kept until you destroy it", o)
			}
		}
		for _, c := range w.cover.Sources(r) {
			if d := c.Dataset; d.Encrypted && !d.KeyLoaded {
				say(backup.Warning, "key", "the key of %s is not loaded; its copies are sent raw, and nothing can look inside", d.Name)
			}
		}
	}
	a.checkClock(w, say)
	for _, c := range w.cover.Datasets {
		if Pruned(c) {
			if plan := a.RetentionPlan(ctx, w, c); plan.Refusal != backup.RefuseNone {
				say(backup.Warning, "prune", "%s is not pruned: %s", c.Dataset.Name, plan.Refusal)
			}
		}
	}
	return out
}

func (a *Pools) checkPools(pools []backup.Pool, say func(backup.Outcome, string, string, ...any)) {
	byName := map[string]backup.Pool{}
	for _, p := range pools {
		byName[p.Name] = p
	}
	for _, name := range a.roots() {
		p, ok := byName[name]
		switch {
		case !ok:
			say(backup.Failed, "pool", "pool %s is not imported (zpool import)", name)
		case p.Health != "ONLINE":
			say(backup.Warning, "pool", "pool %s is %s (zpool status %s)", name, p.Health, name)
		case p.ReadOnly:
			say(backup.Failed, "pool", "pool %s is imported read-only", name)
		case p.Size > 0 && p.Free*10 < p.Size:
			say(backup.Warning, "space", "pool %s is more than 90 %% full (%s free)", name, backup.Bytes(p.Free))
		default:
			say(backup.OK, "pool", "pool %s is %s, %s free", name, p.Health, backup.Bytes(p.Free))
		}
	}
}

// checkClock finds a clock that was set back: the newest snapshot is then dated in
// the future, and prune would refuse.
func (a *Pools) checkClock(w World, say func(backup.Outcome, string, string, ...any)) {
	now := a.Now()
	for name, snaps := range w.Snapshots {
		newest, ok := backup.Newest(a.Policy.Prefix, snaps)
		if !ok {
			continue
		}
		stamp, _ := backup.StampIn(a.Policy.Prefix, newest.Name)
		if at, err := stamp.Time(); err == nil && at.Sub(now) > backup.SkewTolerance {
			say(backup.Warning, "clock", "%s@%s is %s in the future; is the clock right?", name, newest.Name, at.Sub(now).Round(time.Second))
			return
		}
	}
}
