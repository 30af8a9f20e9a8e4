package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"triplicate/internal/backup"
)

// pruning is one dataset's part of a prune.
type pruning struct {
	backup.Covered
	doomed    []backup.Snapshot
	kept      int
	destroyed int
	items     []Item
	done      bool // nothing kept the dataset as a whole from its retention
}

// say adds what the operator should hear of the dataset.
func (p *pruning) say(o backup.Outcome, detail string) {
	p.items = append(p.items, Item{Name: p.Dataset.Name, Outcome: o, Detail: detail})
}

// Prune destroys what the retention of one scope's rows no longer keeps. It
// decides from the pools as they are, so running it again is harmless; a dataset
// in use is left for the next time. A refusal or a surprise leaves snapshots
// where they are and is reported, never an error. A pool that cannot be listed
// does not keep the others, but for the datasets with a replica on it.
func (a *Pools) Prune(ctx context.Context, p PruneParams) (PruneResult, error) {
	defer beat(ctx, func() any { return nil })()
	if p.Scope != PlanHourly && p.Scope != PlanNightly {
		return PruneResult{}, failure(fmt.Errorf("prune %q: %w", p.Scope, ErrNotConfigured))
	}
	world, err := a.look(ctx)
	if err != nil {
		return PruneResult{}, failure(fmt.Errorf("prune: %w", err))
	}
	items := a.unpruned(world, p.Scope)
	parts, more := a.judge(ctx, world, p.Scope)
	items = append(items, more...)
	a.lookCloser(ctx, world, parts)
	res := PruneResult{Datasets: len(parts)}
	for _, part := range parts {
		a.destroy(ctx, part)
		if ctx.Err() != nil {
			return res, failure(ctx.Err())
		}
		res.Destroyed += part.destroyed
		res.Kept += part.kept
		items = append(items, part.items...)
	}
	res.Items = AtMost(items)
	if err := a.useUpMassAcks(ctx, world, p.Scope, parts); err != nil {
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

// Pruned says whether one of the prunes decides on a dataset's snapshots: on those
// of every enabled row, and on every replica that a row is over.
func Pruned(c backup.Covered) bool { return inScope(PlanHourly, c) || inScope(PlanNightly, c) }

// unpruned says which pools could not be listed and have something to prune.
func (a *Pools) unpruned(w World, scope string) (items []Item) {
	// Rows and replicas are as good as the datasets that they name.
	var named []backup.Dataset
	for _, r := range a.Policy.Rows {
		named = append(named, backup.Dataset{Name: r.Dataset})
	}
	for _, r := range a.Policy.Replicas {
		named = append(named, backup.Dataset{Name: r.Target})
	}
	due := backup.Cover(a.Policy, named).Datasets
	for _, pool := range a.roots() {
		err := w.Failed[pool]
		if err != nil && slices.ContainsFunc(due, func(c backup.Covered) bool {
			return backup.PoolOf(c.Dataset.Name) == pool && inScope(scope, c)
		}) {
			items = append(items, Item{Name: pool, Outcome: backup.Failed, Detail: "not pruned, for it cannot be listed: " + err.Error()})
		}
	}
	return items
}

// judge decides on every dataset of the scope, and records the policies that are
// no less than what was acknowledged, before anything is destroyed by them.
func (a *Pools) judge(ctx context.Context, w World, scope string) (parts []*pruning, items []Item) {
	failed := a.acknowledge(ctx, w, scope)
	for _, f := range failed {
		items = append(items, Item{Name: f.row, Outcome: backup.Failed, Detail: "not pruned: " + f.Error()})
	}
	for _, c := range w.cover.Datasets {
		if !inScope(scope, c) {
			continue
		}
		part := &pruning{Covered: c, done: true}
		parts = append(parts, part)
		plan := a.RetentionPlan(ctx, w, c)
		part.doomed = plan.Destroy()
		part.kept = len(plan.Decisions) - len(part.doomed)
		if plan.Refusal != backup.RefuseNone {
			part.done = false
			part.say(refused(plan.Refusal), string(plan.Refusal))
		}
		if failed.of(c.Row.Dataset) {
			part.leave()
		}
	}
	return parts, items
}

// leave keeps all that was to go.
func (p *pruning) leave() {
	p.kept += len(p.doomed)
	p.doomed, p.done = nil, false
}

// refused is how bad a refusal is.
func refused(r backup.Refusal) backup.Outcome {
	switch r {
	case backup.RefuseChanged, backup.RefuseMass:
		return backup.NeedsApproval
	case backup.RefuseUnread:
		return backup.Skipped
	}
	return backup.Warning
}

// AckLifts says whether triplicate ack retention lifts a refusal. The others end when
// what they are about has ended, and an ack would only wait there for a mass destroy
// that nobody has looked at.
func AckLifts(r backup.Refusal) bool { return refused(r) == backup.NeedsApproval }

// RetentionPlan decides for one dataset and does nothing: what `triplicate plan`
// shows is what Prune does. A policy that keeps less is refused also where
// nothing would go by it yet: the operator hears of it before something does.
func (a *Pools) RetentionPlan(ctx context.Context, w World, c backup.Covered) backup.KeepResult {
	protected, unseen, err := a.protected(ctx, w, c)
	res := backup.Decide(backup.KeepInput{
		Prefix: a.Policy.Prefix, Snapshots: w.Snapshots[c.Dataset.Name], Keep: c.Row.Keep,
		Zone: a.Policy.Zone, Now: a.Now(), Protected: protected,
		MassAcked: a.ackedMass(w, c),
	})
	if err != nil {
		logInfo(ctx, "resume token not read", "dataset", c.Dataset.Name, "error", err)
		res.Refusal = backup.RefuseUnread
	}
	switch {
	case res.Refusal != backup.RefuseNone:
	case a.policyShrunk(w, c):
		res.Refusal = backup.RefuseChanged
	case unseen && len(res.Destroy()) > 0:
		res.Refusal = backup.RefuseUnseen
	}
	return res
}

// protected collects what must stay for the sake of the copies: the bases and
// uncopied points of every replica that this dataset is an end of. unseen says
// that it may be more: a replica's pool could not be listed.
func (a *Pools) protected(ctx context.Context, w World, c backup.Covered) (keep map[backup.GUID]string, unseen bool, err error) {
	name := c.Dataset.Name
	keep = map[backup.GUID]string{}
	if c.Replica != nil { // a replica may be the source of another
		maps.Copy(keep, backup.TargetProtected(*c.Replica, w.Snapshots[name]))
	}
	for _, r := range a.Policy.Replicas {
		if !backup.Under(name, r.Source) {
			continue
		}
		target := r.TargetOf(name)
		unseen = unseen || w.Failed[backup.PoolOf(target)] != nil
		token, err := a.token(ctx, w.dataset(target))
		if err != nil && !errors.Is(err, backup.ErrStaleToken) {
			return nil, unseen, err
		}
		maps.Copy(keep, backup.SourceProtected(a.Policy.Prefix, r, w.Snapshots[name], w.Bookmarks[name], w.Snapshots[target], token))
	}
	return keep, unseen, nil
}

// destroy destroys what is left of the doomed, unless a step uses the dataset.
func (a *Pools) destroy(ctx context.Context, p *pruning) {
	if len(p.doomed) == 0 {
		return
	}
	unlock, free := a.Locks.TryLock(p.Dataset.Name)
	if !free {
		p.say(backup.Skipped, "in use by another step")
		p.leave()
		return
	}
	defer unlock()
	err := a.ZFS.DestroySnapshots(ctx, p.Dataset.Name, p.doomed)
	switch {
	case err == nil:
		p.destroyed = len(p.doomed)
	case errors.Is(err, backup.ErrHeld), errors.Is(err, backup.ErrCloned), errors.Is(err, backup.ErrBusy), errors.Is(err, backup.ErrChanged):
		// Held, cloned, mounted or replaced since we looked: next time.
		p.say(backup.Skipped, err.Error())
		p.leave()
	default:
		p.say(backup.Failed, err.Error())
		p.leave()
	}
}
