package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"triplicate/internal/backup"
)

// hold writes down what was held back, for triplicate ack, and lets the snapshot
// go: nobody knows when the answer comes, and the next run looks anew.
func (c *copying) hold(ctx context.Context, src source, snap backup.Snapshot, s backup.Survey) error {
	held := backup.Held(src.Dataset.GUID, s.Change).String()
	if err := c.note(ctx, src, backup.PropHeld, held); err != nil {
		return err
	}
	if err := c.ZFS.Release(ctx, c.tag(), snap.String()); err != nil {
		return err
	}
	return c.destroyTaken(ctx, src, "")
}

// allowed pins the format at the first upload, and uses up the operator's
// approval: it was for one commit.
func (c *copying) allowed(ctx context.Context, src source) error {
	for prop, value := range map[string]string{
		backup.PropOffsite: backup.FormatFiles, backup.PropAck: "", backup.PropHeld: "",
	} {
		if err := c.note(ctx, src, prop, value); err != nil {
			return err
		}
	}
	return nil
}

// note changes the target's entry of a property, if it is another.
func (c *copying) note(ctx context.Context, src source, prop, value string) error {
	old := src.Dataset.Properties[prop]
	if backup.TargetValue(old, c.target.Name) == value {
		return nil
	}
	props := map[string]string{prop: backup.WithTargetValue(old, c.target.Name, value)}
	if err := c.ZFS.SetProperties(ctx, c.params.Dataset, props); err != nil {
		return fmt.Errorf("note %s: %w", prop, err)
	}
	return nil
}

// settle leaves one bookmark, the committed point's, no hold, and of the snapshots
// that were taken for the copy only the last, on the datastore's dataset none:
// there it would pin every chunk that garbage collection frees.
func (c *copying) settle(ctx context.Context, src source, snap backup.Snapshot) error {
	c.res.Snapshot = snap.String()
	committed, _ := backup.Committed(c.Policy.Prefix, c.target.Name, src.marks)
	for _, b := range src.marks {
		if _, ours := backup.OffsiteStamp(c.Policy.Prefix, c.target.Name, b.Name); ours && b.GUID != committed.GUID {
			if err := c.ZFS.DestroyBookmark(ctx, b); err != nil {
				return err
			}
		}
	}
	if err := c.ZFS.Release(ctx, c.tag(), snap.String()); err != nil {
		return err
	}
	keep := snap.Name
	if p := c.Policy.Proxmox; p != nil && p.Dataset == c.params.Dataset {
		keep = ""
	}
	return c.destroyTaken(ctx, src, keep)
}

// destroyTaken destroys the snapshots that were taken for this target's copies of
// this dataset, but for one. They are ours by name and by a mark of their own;
// what is held, mounted or cloned stays for the next time.
func (c *copying) destroyTaken(ctx context.Context, src source, keep string) error {
	snaps, _, err := c.ZFS.Points(ctx, c.params.Dataset)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range snaps {
		if _, ours := backup.OffsiteStamp(c.Policy.Prefix, c.target.Name, s.Name); ours && s.Dataset == c.params.Dataset && s.Name != keep {
			names = append(names, s.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	facts, err := c.ZFS.Facts(ctx, names...)
	if err != nil {
		return err
	}
	var doomed []backup.Snapshot
	for _, f := range facts {
		class := f.Properties[backup.PropClass]
		if class.Local() && class.Value == backup.ClassOffsite && f.UserRefs == 0 && len(f.Clones) == 0 && !f.Mounted {
			doomed = append(doomed, f.Snapshot)
		}
	}
	if len(doomed) == 0 {
		return nil
	}
	err = c.ZFS.DestroySnapshots(ctx, c.params.Dataset, doomed)
	if errors.Is(err, backup.ErrHeld) || errors.Is(err, backup.ErrBusy) || errors.Is(err, backup.ErrCloned) || errors.Is(err, backup.ErrChanged) {
		return nil
	}
	return err
}

// HeldBack is a dataset that a run held back, with what it would have done.
type HeldBack struct {
	Target  string          `json:"target"`
	Dataset string          `json:"dataset"`
	Held    backup.Approval `json:"held"`
	Allowed bool            `json:"allowed"` // the operator has said yes already
}

// HeldBack lists what waits for the operator. It is called by the command.
func (a *Offsite) HeldBack(ctx context.Context) ([]HeldBack, error) {
	var all []HeldBack
	for _, o := range a.Policy.Offsite {
		datasets, err := a.ZFS.Datasets(ctx, o.Pool)
		if err != nil {
			return nil, fmt.Errorf("list pool %s: %w", o.Pool, err)
		}
		for _, d := range datasets {
			held := backup.ParseApproval(backup.TargetValue(d.Properties[backup.PropHeld], o.Name))
			if held == nil || held.Dataset != d.GUID {
				continue
			}
			ack := backup.ParseApproval(backup.TargetValue(d.Properties[backup.PropAck], o.Name))
			all = append(all, HeldBack{Target: o.Name, Dataset: d.Name, Held: *held, Allowed: ack != nil && ack.Dataset == d.GUID})
		}
	}
	return all, nil
}

// AllowOffsite records the operator's yes to what was held back, with its numbers
// as limits. It is called by the command, never by a workflow.
func (a *Offsite) AllowOffsite(ctx context.Context, h HeldBack) error {
	datasets, err := a.ZFS.Datasets(ctx, h.Dataset)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(datasets, func(d backup.Dataset) bool { return d.Name == h.Dataset && d.GUID == h.Held.Dataset })
	if i < 0 {
		return fmt.Errorf("%s: %w", h.Dataset, backup.ErrChanged)
	}
	value := backup.WithTargetValue(datasets[i].Properties[backup.PropAck], h.Target, h.Held.Allow().String())
	return a.ZFS.SetProperties(ctx, h.Dataset, map[string]string{backup.PropAck: value})
}
