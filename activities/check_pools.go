package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"triplicate/internal/backup"
)

// Check compares the config with this machine's pools and changes nothing.
func (a *Pools) Check(ctx context.Context) []Finding {
	return a.check(ctx, sync.OnceValues(func() (World, error) { return a.look(ctx) }))
}

// Roots are the pools that the policy is about, each once.
func (a *Pools) Roots() []string { return a.roots() }

func (a *Pools) check(ctx context.Context, world func() (World, error)) []Finding {
	var f findings
	pools, err := a.ZFS.Pools(ctx)
	if err != nil {
		f.fail(FindZFS, "install OpenZFS, or load its module (modprobe zfs), and run check as root", "cannot list pools: %v", err)
		return f
	}
	a.checkPools(pools, &f)
	w, err := world()
	if err != nil {
		f.fail(FindZFS, "look at zpool status", "cannot list datasets: %v", err)
		return f
	}
	for _, pool := range a.roots() {
		if err := w.Failed[pool]; err != nil {
			f.fail(FindZFS, "look at zpool status "+pool+"; the other pools are backed up all the same", "cannot list pool %s: %v", pool, err)
		}
	}
	a.checkCoverage(w, &f)
	a.checkReplicas(w, &f)
	a.checkClock(w, &f)
	for _, c := range w.cover.Datasets {
		if Pruned(c) {
			if plan := a.RetentionPlan(ctx, w, c); plan.Refusal != backup.RefuseNone {
				f.warn(FindPrune, lift(plan.Refusal, c), "%s is not pruned: %s", c.Dataset.Name, plan.Refusal)
			}
		}
	}
	return f
}

// lift is what ends a refusal of prune.
func lift(r backup.Refusal, c backup.Covered) string {
	switch r {
	case backup.RefuseMass, backup.RefuseChanged:
		return "triplicate plan shows what would go; triplicate ack retention " + c.Row.Dataset + " allows it"
	case backup.RefuseClock:
		return "set the clock (timedatectl)"
	case backup.RefuseFuture:
		return "wait, or destroy that snapshot by hand: triplicate snapshots " + c.Dataset.Name
	case backup.RefuseNoKeep:
		return "give the row " + c.Row.Dataset + " a keep"
	case backup.RefuseUnseen:
		return "zpool status says what the replica's pool lacks; no ack is needed"
	}
	return "triplicate plan, to look again; no ack is needed"
}

func (a *Pools) checkPools(pools []backup.Pool, f *findings) {
	byName := map[string]backup.Pool{}
	for _, p := range pools {
		byName[p.Name] = p
	}
	for _, name := range a.roots() {
		p, there := byName[name]
		switch {
		case !there:
			f.fail(FindPool, "zpool import "+name, "pool %s is not imported", name)
		case p.ReadOnly:
			f.fail(FindPool, "export and import it again, without readonly=on", "pool %s is imported read-only", name)
		case p.Health != "ONLINE":
			f.warn(FindPool, "zpool status "+name+" says which device", "pool %s is %s", name, p.Health)
		default:
			f.ok(FindPool, "pool %s is %s, %s free", name, p.Health, backup.Bytes(p.Free))
		}
		// Whatever else it has: one that is DEGRADED and full is both.
		if there && p.Size > 0 && p.Free*10 < p.Size {
			f.warn(FindSpace, "keep fewer snapshots, or add space: ZFS gets slow, then snapshots and receives fail",
				"pool %s is more than 90 %% full (%s free)", name, backup.Bytes(p.Free))
		}
	}
}

func (a *Pools) checkCoverage(w World, f *findings) {
	for _, m := range w.cover.Missing {
		if w.Failed[backup.PoolOf(m)] == nil {
			f.fail(FindMissing, "correct the name (zfs list), or delete it from the config", "%s is in the config but not on this machine", m)
		}
	}
	for _, d := range w.cover.Uncovered() {
		f.warn(FindUncovered, "add a row for it, or one with frequency: disabled", "%s is under no row: nothing snapshots it", d)
	}
	for _, d := range w.cover.Unkept() {
		f.warn(FindUnkept, "give the row over it a keep", "%s gets snapshots but no row says how many to keep", d)
	}
}

func (a *Pools) checkReplicas(w World, f *findings) {
	for _, r := range a.Policy.Replicas {
		// A source on a pool that nobody can see is not gone.
		if w.dataset(backup.PoolOf(r.Source)) != nil {
			for _, o := range backup.Orphans(r, w.cover) {
				f.warn(FindOrphan, "zfs destroy -r "+o+" if nobody needs it any more", "%s is a copy of a dataset that is gone; it is kept until you destroy it", o)
			}
		}
		for _, c := range w.cover.Sources(r) {
			if d := c.Dataset; d.Encrypted && !d.KeyLoaded {
				f.warn(FindKey, "zfs load-key "+d.Name, "the key of %s is not loaded; its copies are sent raw, and nothing can look inside", d.Name)
			}
		}
	}
}

// checkClock finds a clock that was set back: the newest snapshot is then dated in
// the future, and prune would refuse.
func (a *Pools) checkClock(w World, f *findings) {
	now := a.Now()
	for _, c := range w.cover.Datasets {
		newest, ok := backup.Newest(a.Policy.Prefix, w.Snapshots[c.Dataset.Name])
		if !ok {
			continue
		}
		stamp, _ := backup.StampIn(a.Policy.Prefix, newest.Name)
		if at, err := stamp.Time(); err == nil && at.Sub(now) > backup.SkewTolerance {
			f.warn(FindClock, "set the clock (timedatectl); if it is right, destroy that snapshot by hand",
				"%s is %s in the future; is the clock right?", newest, at.Sub(now).Round(time.Second))
			return
		}
	}
}

// local is an instant as the config's times are written.
func (a *Pools) local(t time.Time) string {
	return fmt.Sprint(t.In(a.Policy.Zone).Format("2006-01-02 15:04 MST"))
}
