package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// Copies looks at every copy of the data. What is not configured is nil.
type Copies struct {
	Pools   *Pools
	Guests  *Guests
	Offsite *Offsite
}

// Status looks at every copy and judges it. It asks the pools, Proxmox Backup
// Server and the bucket, never the history of runs, so it is right when the daemon
// is dead; what it cannot look at is unknown. Only pools that cannot be listed
// are an error.
func (a *Copies) Status(ctx context.Context) ([]backup.DatasetStatus, error) {
	w, err := a.Pools.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the pools: %w", err)
	}
	proxmox, offsite := a.Guests.copies(ctx, a.Pools.Now()), a.Offsite.copies(ctx)
	var all []backup.DatasetStatus
	for _, c := range w.cover.Datasets {
		if !c.Snapshotted() && !(c.Replica == nil && offsite.wants(c.Dataset.Name)) {
			continue
		}
		s := a.Pools.statusOf(w, c)
		s.Proxmox = a.claimed(w, c, proxmox.of(c.Dataset.Name), proxmox.byDataset)
		s.Offsite = offsite.of(ctx, w, c.Dataset.Name)
		all = append(all, s)
	}
	for _, m := range w.cover.Missing {
		none := backup.Copy{State: backup.CopyNone}
		snapshot := backup.Copy{State: backup.CopyMissing, Note: "in the config but not on this machine"}
		if err := w.Failed[backup.PoolOf(m)]; err != nil {
			snapshot = backup.Copy{State: backup.CopyUnknown, Note: err.Error()}
		}
		all = append(all, backup.DatasetStatus{
			Dataset:  m,
			Snapshot: snapshot,
			Replica:  none, Proxmox: none, Offsite: none,
		})
	}
	return all, nil
}

// statusOf judges what the pools hold of a dataset.
func (a *Pools) statusOf(w World, c backup.Covered) backup.DatasetStatus {
	name, now := c.Dataset.Name, a.Now()
	none := backup.Copy{State: backup.CopyNone}
	s := backup.DatasetStatus{Dataset: name, Snapshot: none, Replica: none, Proxmox: none, Offsite: none}
	if c.Snapshotted() {
		s.Snapshot = backup.CopyOf(a.Policy.Prefix, name, w.Snapshots[name], c.Row.Frequency.Kind, now)
	}
	for _, target := range a.replicasOf(name) {
		x := backup.CopyOf(a.Policy.Prefix, target, w.Snapshots[target], backup.EachDay, now)
		if d := w.dataset(target); d != nil && d.ResumeToken != "" {
			x.Note = "half received"
		}
		if w.Failed[backup.PoolOf(target)] != nil {
			x = backup.Copy{State: backup.CopyUnknown, Where: target, Note: w.Failed[backup.PoolOf(target)].Error()}
		}
		s.Replica = backup.WorseCopy(s.Replica, x)
	}
	return s
}

// replicasOf are the datasets that name is copied to.
func (a *Pools) replicasOf(name string) (targets []string) {
	for _, r := range a.Policy.Replicas {
		if backup.Under(name, r.Source) {
			targets = append(targets, r.TargetOf(name))
		}
	}
	return targets
}

// guestCopies are the guests' backups by the dataset that a guest's volume is on.
type guestCopies struct {
	byDataset map[string]backup.Copy
	unknown   error
	asked     bool
}

// copies asks Proxmox for the guests' volumes and backups.
func (a *Guests) copies(ctx context.Context, now time.Time) guestCopies {
	if a == nil {
		return guestCopies{}
	}
	c := guestCopies{byDataset: map[string]backup.Copy{}, asked: true}
	guests, err := a.PVE.Guests(ctx)
	if err != nil {
		c.unknown = err
		return c
	}
	backups, err := a.PBS.Backups(ctx, "")
	if err != nil {
		c.unknown = err
		return c
	}
	for _, g := range guests {
		volumes, err := a.PVE.Volumes(ctx, g)
		if err != nil {
			c.unknown = err
			continue
		}
		for _, v := range volumes {
			if v.Dataset == "" {
				continue
			}
			copied := backup.GuestCopy(g.Group(), backups, now)
			if !v.Saved {
				copied = backup.Copy{State: backup.CopyUncovered, Where: g.Group(), Note: v.Slot + " is left out of the backup of " + g.String()}
			}
			if old, ok := c.byDataset[v.Dataset]; ok {
				copied = backup.WorseCopy(old, copied)
			}
			c.byDataset[v.Dataset] = copied
		}
	}
	return c
}

func (c guestCopies) of(dataset string) backup.Copy {
	if x, ok := c.byDataset[dataset]; ok {
		return x
	}
	if c.unknown != nil {
		return backup.Copy{State: backup.CopyUnknown, Note: "Proxmox: " + c.unknown.Error()}
	}
	return backup.Copy{State: backup.CopyNone}
}

// targetCopies are the offsite copies as the buckets show them.
type targetCopies struct {
	*Offsite
	points  map[string][]backup.OffsitePoint // by target
	unknown map[string]error
}

// copies lists the newest manifests of every target.
func (a *Offsite) copies(ctx context.Context) targetCopies {
	c := targetCopies{Offsite: a, points: map[string][]backup.OffsitePoint{}, unknown: map[string]error{}}
	if a == nil {
		return c
	}
	for _, o := range a.Policy.Offsite {
		vault, err := a.Vault(o.Name)
		if err == nil {
			c.points[o.Name], err = vault.Points(ctx)
		}
		if err != nil {
			c.unknown[o.Name] = err
		}
	}
	return c
}

// wants says whether a dataset itself is to be offsite.
func (c targetCopies) wants(dataset string) bool {
	return c.Offsite != nil && slices.ContainsFunc(c.Policy.Offsite, func(o backup.OffsitePolicy) bool { return o.Pool == backup.PoolOf(dataset) })
}

// of judges the worst of a dataset's offsite copies: its own, or its replica's,
// for that is how a dataset of another pool gets there.
func (c targetCopies) of(ctx context.Context, w World, dataset string) backup.Copy {
	worst := backup.Copy{State: backup.CopyNone}
	if c.Offsite == nil {
		return worst
	}
	for _, o := range c.Policy.Offsite {
		for _, name := range append(c.replicasOf(dataset), dataset) {
			if backup.PoolOf(name) == o.Pool {
				worst = backup.WorseCopy(worst, c.one(ctx, w, o, name))
			}
		}
	}
	return worst
}

// one judges one dataset's copy on one target. A copy older than the newest
// snapshot is as good as it if nothing was written in between.
func (c targetCopies) one(ctx context.Context, w World, o backup.OffsitePolicy, dataset string) backup.Copy {
	d := w.dataset(dataset)
	if err := w.Failed[backup.PoolOf(dataset)]; err != nil {
		return backup.Copy{State: backup.CopyUnknown, Where: o.Name, Note: err.Error()}
	}
	if d == nil {
		return backup.Copy{State: backup.CopyMissing, Where: o.Name}
	}
	cover := slices.IndexFunc(w.cover.Datasets, func(x backup.Covered) bool { return x.Dataset.Name == dataset })
	if way, outcome, reason := backup.OffsiteOf(w.cover.Datasets[cover]); way == backup.WayNone && outcome == backup.NotCovered {
		return backup.Copy{State: backup.CopyUncovered, Where: o.Name, Note: reason}
	}
	if err := c.unknown[o.Name]; err != nil {
		return backup.Copy{State: backup.CopyUnknown, Where: o.Name, Note: err.Error()}
	}
	i := slices.IndexFunc(c.points[o.Name], func(p backup.OffsitePoint) bool { return p.Dataset == dataset })
	if i < 0 {
		missing := backup.Copy{State: backup.CopyMissing, Where: o.Name}
		if backup.TargetValue(d.Properties[backup.PropHeld], o.Name) != "" {
			missing.Note = "waits for: triplicate ack offsite " + dataset
		}
		return missing
	}
	point := c.points[o.Name][i]
	at, err := point.Stamp.Time()
	if err != nil {
		return backup.Copy{State: backup.CopyUnknown, Where: o.Name, Note: err.Error()}
	}
	if newest, ok := c.sameAs(ctx, w, o, dataset, point); ok && newest.After(at) {
		at = newest
	}
	return backup.CopyAt(o.Name, at, point.Seq, backup.EachDay, c.Now())
}

// sameAs is the instant up to which a copy equals the dataset although it was made
// earlier: that of the newest snapshot, or now where snapshots are taken only for
// the copy.
func (c targetCopies) sameAs(ctx context.Context, w World, o backup.OffsitePolicy, dataset string, p backup.OffsitePoint) (time.Time, bool) {
	mark, ok := backup.Committed(c.Policy.Prefix, o.Name, w.Bookmarks[dataset])
	if !ok || mark.GUID != p.Point || len(w.Snapshots[dataset]) == 0 {
		return time.Time{}, false
	}
	newest := slices.MaxFunc(w.Snapshots[dataset], backup.ByCreateTXG)
	stamp, ours := backup.StampIn(c.Policy.Prefix, newest.Name)
	if !ours {
		if stamp, ours = backup.OffsiteStamp(c.Policy.Prefix, o.Name, newest.Name); !ours {
			return time.Time{}, false
		}
	}
	if newest.GUID != mark.GUID {
		if written, err := c.ZFS.Written(ctx, newest, "#"+mark.Name); err != nil || written > 0 {
			return time.Time{}, false
		}
	}
	at, err := stamp.Time()
	return at, err == nil
}
