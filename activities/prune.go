package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"triplicate/internal/backup"
)

// Prune destroys what the retention of one scope's rows no longer keeps. It
// decides from the pools as they are, so running it again is harmless; a dataset
// in use is left for the next time. A refusal or a surprise leaves snapshots
// where they are and is reported, never an error.
func (a *Pools) Prune(ctx context.Context, p PruneParams) (PruneResult, error) {
	defer beat(ctx, func() any { return nil })()
	if p.Scope != PlanHourly && p.Scope != PlanNightly {
		return PruneResult{}, failure(fmt.Errorf("prune %q: %w", p.Scope, ErrNotConfigured))
	}
	world, err := a.look(ctx)
	if err != nil {
		return PruneResult{}, failure(fmt.Errorf("prune: %w", err))
	}
	var res PruneResult
	for _, c := range world.cover.Datasets {
		if !inScope(p.Scope, c) {
			continue
		}
		destroyed, kept, items, err := a.pruneDataset(ctx, world, c)
		if ctx.Err() != nil {
			return res, failure(ctx.Err())
		}
		if err != nil {
			items = append(items, Item{Name: c.Dataset.Name, Outcome: backup.Failed, Detail: err.Error()})
		}
		res.Datasets++
		res.Destroyed += destroyed
		res.Kept += kept
		res.Items = append(res.Items, items...)
	}
	if err := a.useUpMassAcks(ctx, world); err != nil {
		return res, failure(err)
	}
	logInfo(ctx, "pruned", "scope", p.Scope, "datasets", res.Datasets, "destroyed", res.Destroyed)
	return res, nil
}

// inScope says which prune a dataset belongs to. Replicas are pruned by night,
// by the keep of the row over them, although we never snapshot them; a disabled
// row on a replica's target only says that keep.
func inScope(scope string, c backup.Covered) bool {
	if c.Row == nil || c.Row.Frequency.Kind == backup.Disabled && c.Replica == nil {
		return false
	}
	hourly := c.Row.Frequency.Kind == backup.EachHour && c.Replica == nil
	return hourly == (scope == PlanHourly)
}

// RetentionPlan decides for one dataset and does nothing: what `triplicate plan`
// shows is what Prune does.
func (a *Pools) RetentionPlan(ctx context.Context, w World, c backup.Covered) backup.KeepResult {
	protected, err := a.protected(ctx, w, c)
	res := backup.Decide(backup.KeepInput{
		Prefix: a.Policy.Prefix, Snapshots: w.Snapshots[c.Dataset.Name], Keep: c.Row.Keep,
		Zone: a.Policy.Zone, Now: a.Now(), Protected: protected,
		MassAcked: a.ackedMass(w, c),
	})
	if err != nil {
		logInfo(ctx, "resume token not read", "dataset", c.Dataset.Name, "error", err)
		res.Refusal = backup.RefuseUnread
	}
	if res.Refusal == backup.RefuseNone && len(res.Destroy()) > 0 && a.policyShrunk(w, c) {
		res.Refusal = backup.RefuseChanged
	}
	return res
}

// protected collects what must stay for the sake of the copies: the bases and
// uncopied points of every replica that this dataset is an end of.
func (a *Pools) protected(ctx context.Context, w World, c backup.Covered) (map[backup.GUID]string, error) {
	name := c.Dataset.Name
	keep := map[backup.GUID]string{}
	if c.Replica != nil { // a replica may be the source of another
		maps.Copy(keep, backup.TargetProtected(*c.Replica, w.Snapshots[name]))
	}
	for _, r := range a.Policy.Replicas {
		if !backup.Under(name, r.Source) {
			continue
		}
		target := r.TargetOf(name)
		token, err := a.token(ctx, w.dataset(target))
		if err != nil && !errors.Is(err, backup.ErrStaleToken) {
			return nil, err
		}
		maps.Copy(keep, backup.SourceProtected(a.Policy.Prefix, r, w.Snapshots[name], w.Bookmarks[name], w.Snapshots[target], token))
	}
	return keep, nil
}

func (a *Pools) pruneDataset(ctx context.Context, w World, c backup.Covered) (destroyed, kept int, items []Item, err error) {
	name := c.Dataset.Name
	unlock, free := a.Locks.TryLock(name)
	if !free {
		return 0, 0, []Item{{Name: name, Outcome: backup.Skipped, Detail: "in use by another step"}}, nil
	}
	defer unlock()
	plan := a.RetentionPlan(ctx, w, c)
	doomed := plan.Destroy()
	kept = len(plan.Decisions) - len(doomed)
	if plan.Refusal != backup.RefuseNone {
		outcome := backup.Warning
		if plan.Refusal == backup.RefuseChanged || plan.Refusal == backup.RefuseMass {
			outcome = backup.NeedsApproval
		}
		if plan.Refusal == backup.RefuseUnread {
			outcome = backup.Skipped
		}
		return 0, kept, []Item{{Name: name, Outcome: outcome, Detail: string(plan.Refusal)}}, nil
	}
	if err := a.acknowledge(ctx, w, c); err != nil {
		return 0, kept, nil, err
	}
	if len(doomed) == 0 {
		return 0, kept, nil, nil
	}
	doomed, items, err = a.surprises(ctx, w, c, doomed)
	if err != nil || len(doomed) == 0 {
		return 0, kept, items, err
	}
	err = a.ZFS.DestroySnapshots(ctx, name, doomed)
	switch {
	case errors.Is(err, backup.ErrHeld), errors.Is(err, backup.ErrCloned), errors.Is(err, backup.ErrBusy), errors.Is(err, backup.ErrChanged):
		// Held, cloned, mounted or replaced since we looked: next time.
		return 0, kept + len(doomed), append(items, Item{Name: name, Outcome: backup.Skipped, Detail: err.Error()}), nil
	case err != nil:
		return 0, kept, items, err
	}
	return len(doomed), kept, items, nil
}

// surprises reads the slow columns of what is about to be destroyed, and leaves
// out, with a word, whatever turns out not to be ours, held, cloned or mounted.
// One such snapshot would make ZFS refuse the whole batch.
func (a *Pools) surprises(ctx context.Context, w World, c backup.Covered, doomed []backup.Snapshot) (sure []backup.Snapshot, items []Item, err error) {
	names := make([]string, len(doomed))
	for i, s := range doomed {
		names[i] = s.String()
	}
	facts, err := a.ZFS.Facts(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	leave := func(f backup.SnapshotFacts, why string) {
		items = append(items, Item{Name: f.String(), Outcome: backup.Skipped, Detail: "not destroyed: " + why})
	}
	for _, f := range facts {
		i := slices.IndexFunc(doomed, func(s backup.Snapshot) bool { return s.GUID == f.GUID })
		class := f.Properties[backup.PropClass]
		switch {
		case i < 0:
			leave(f, "the name now means another snapshot")
		case !(class.Local() && class.Value == backup.ClassPeriodic) && !a.adoptable(w, c, f.Snapshot):
			leave(f, "it has our name but not our mark")
		case f.UserRefs > 0:
			leave(f, "it is held (zfs holds "+f.String()+")")
		case len(f.Clones) > 0:
			leave(f, "it has clones: "+fmt.Sprint(f.Clones))
		case f.Mounted:
			leave(f, "it is mounted")
		case c.Replica == nil && skewed(a.Policy.Prefix, f):
			leave(f, "it was made more than 5 minutes off the time in its name; destroy it by hand if it is not needed")
		default:
			sure = append(sure, doomed[i])
		}
	}
	return sure, items, nil
}

// skewed: the snapshot's name and its creation disagree, so the tiers may have
// judged it wrongly. A replica's snapshots are created when they are received.
func skewed(prefix string, f backup.SnapshotFacts) bool {
	stamp, _ := backup.StampIn(prefix, f.Name)
	at, err := stamp.Time()
	return err != nil || f.Creation.Sub(at).Abs() > backup.StampTolerance
}

// adoptable: a received snapshot whose mark was lost to a crash between receive
// and set is ours if its GUID is one of its source's.
func (a *Pools) adoptable(w World, c backup.Covered, s backup.Snapshot) bool {
	if c.Replica == nil {
		return false
	}
	source := c.Replica.SourceOf(c.Dataset.Name)
	return backup.Adoptable(s, w.Snapshots[source], w.Bookmarks[source])
}
