package activities

import (
	"context"
	"fmt"

	"triplicate/internal/backup"
)

// replica finds a replica by name.
func (a *Pools) replica(name string) (backup.Replica, error) {
	for _, r := range a.Policy.Replicas {
		if r.Name == name {
			return r, nil
		}
	}
	return backup.Replica{}, fmt.Errorf("replica %q: %w", name, ErrNotConfigured)
}

// PlanReplica lists the datasets that a replica has yet to copy, parents first,
// what of it cannot be copied, and how many are up to date. It takes four commands
// whatever the number of datasets, and changes nothing but the replicas' record of
// what was set on their sources.
func (a *Pools) PlanReplica(ctx context.Context, p PlanReplicaParams) (ReplicaPlan, error) {
	defer beat(ctx, func() any { return nil })()
	r, err := a.replica(p.Replica)
	if err != nil {
		return ReplicaPlan{}, failure(err)
	}
	w, err := a.lookAt(ctx, a.Policy, r.Source, r.Target)
	if err != nil {
		return ReplicaPlan{}, failure(fmt.Errorf("look at replica %s: %w", r.Name, err))
	}
	plan := ReplicaPlan{Replica: r.Name, Source: r.Source, Target: r.Target}
	if w.dataset(r.Source) == nil {
		return plan, failure(fmt.Errorf("source %s of replica %s: %w", r.Source, r.Name, backup.ErrNotFound))
	}
	settled, err := a.settled(ctx, r, w)
	if err != nil {
		return plan, failure(fmt.Errorf("look at replica %s: %w", r.Name, err))
	}
	for _, c := range w.cover.Sources(r) {
		name := c.Dataset.Name
		last, done := settled[name]
		switch {
		case !c.Copied(a.Policy.Prefix, w.Snapshots[name]):
			plan.Items = append(plan.Items, uncopied(c)...)
		case done:
			plan.UpToDate++
			if stamp, ok := backup.StampIn(a.Policy.Prefix, last.Name); ok && p.Stamp != "" && stamp < p.Stamp {
				plan.Items = append(plan.Items, Behind(name, last.String()))
			}
		default:
			plan.Sources = append(plan.Sources, name)
		}
	}
	plan.Items = append(plan.Items, a.keepOriginals(ctx, r, w)...)
	return plan, nil
}

// uncopied says why there is nothing to copy of a dataset.
func uncopied(c backup.Covered) []Item {
	it := Item{Name: c.Dataset.Name, Outcome: backup.NotCovered}
	switch {
	case c.Dataset.Properties[backup.PropContainer].Local():
		return nil // we made it: it has no data
	case c.Replica != nil:
		it.Outcome = backup.Skipped
		it.Detail = fmt.Sprintf("it is itself a copy, of replica %s, and has received nothing yet", c.Replica.Name)
	default:
		it.Detail = "no row snapshots it, so there is nothing to copy; add one under snapshots"
	}
	return []Item{it}
}

// Behind is the item of a replica's dataset without a snapshot of the night.
func Behind(dataset, snapshot string) Item {
	return Item{
		Name: dataset, Outcome: backup.Warning,
		Detail: "no snapshot of this night; the newest older one was copied: " + snapshot,
	}
}

// settled are a replica's datasets for which nothing is to be done, with the last
// snapshot that their copies have. The slow columns are read of a few snapshots of
// each, with one command for all.
func (a *Pools) settled(ctx context.Context, r backup.Replica, w World) (map[string]backup.Snapshot, error) {
	idle := map[string]backup.Upkeep{}
	var names []string
	for _, c := range w.cover.Sources(r) {
		in, ok := a.ends(w, r, c.Dataset.Name)
		if !ok || in.Target == nil || in.Target.ResumeToken != "" || len(in.Received) == 0 {
			continue
		}
		if plan, err := backup.PlanSend(in); err != nil || plan.Kind != backup.SendNothing {
			continue
		}
		up := backup.PlanUpkeep(in)
		idle[c.Dataset.Name] = up
		for _, s := range up.Look {
			names = append(names, s.String())
		}
	}
	facts, err := a.ZFS.Facts(ctx, names...)
	if err != nil {
		return nil, err
	}
	byDataset := map[string][]backup.SnapshotFacts{}
	for _, f := range facts {
		byDataset[f.Dataset] = append(byDataset[f.Dataset], f)
	}
	settled := map[string]backup.Snapshot{}
	for name, up := range idle {
		seen := append(byDataset[up.Last.Dataset], byDataset[name]...)
		if up.Settled(seen) {
			settled[name] = up.Last
		}
	}
	return settled, nil
}

// ends are both ends of a replica's dataset, as w has them; false if the source is
// not there.
func (a *Pools) ends(w World, r backup.Replica, source string) (backup.SendInput, bool) {
	src, target := w.dataset(source), r.TargetOf(source)
	if src == nil {
		return backup.SendInput{}, false
	}
	return backup.SendInput{
		Prefix: a.Policy.Prefix, Replica: r, Source: *src, Target: w.dataset(target),
		Snaps: w.Snapshots[source], Marks: w.Bookmarks[source], Received: w.Snapshots[target],
	}, true
}

// ReplicateDataset brings one dataset of a replica up to date. It looks at both
// ends by GUID, does the one thing that is missing, and looks again: it may be
// cut off at any point and run again.
func (a *Pools) ReplicateDataset(ctx context.Context, p ReplicateParams) (ReplicateResult, error) {
	r, err := a.replica(p.Replica)
	if err != nil {
		return ReplicateResult{}, failure(err)
	}
	if !backup.Under(p.Dataset, r.Source) {
		return ReplicateResult{}, failure(fmt.Errorf("%s is not part of replica %s: %w", p.Dataset, r.Name, ErrNotConfigured))
	}
	s := &sending{Pools: a, replica: r, target: r.TargetOf(p.Dataset)}
	s.res = ReplicateResult{Dataset: p.Dataset, Target: s.target}
	s.progress.Store(&Progress{Dataset: p.Dataset, Kind: "looking"})
	defer beat(ctx, func() any { return s.progress.Load() })()

	// One receiver per target, and prune leaves it alone. The source needs no lock:
	// a hold and the resume token protect what is sent, and a first copy of days must
	// not keep prune from the rest.
	unlock, err := a.Locks.Lock(ctx, s.target)
	if err != nil {
		return s.res, failure(err)
	}
	defer unlock()
	if err := s.run(ctx, p); err != nil {
		return s.res, failure(fmt.Errorf("replicate %s to %s: %w", p.Dataset, s.target, err))
	}
	logInfo(ctx, "replicated", "dataset", p.Dataset, "target", s.target, "snapshot", s.res.Snapshot,
		"guid", s.res.GUID, "kind", s.res.Kind, "bytes", s.res.Bytes)
	return s.res, nil
}
