package activities

import (
	"context"
	"fmt"

	"triplicate/internal/backup"
)

// Status looks at every copy and judges it. It asks the pools, never the history
// of runs, so it is right when the daemon is dead; what it cannot look at is
// unknown.
func (a *Pools) Status(ctx context.Context) ([]backup.DatasetStatus, error) {
	w, err := a.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the pools: %w", err)
	}
	var all []backup.DatasetStatus
	for _, c := range w.cover.Datasets {
		if c.Snapshotted() {
			all = append(all, a.statusOf(w, c))
		}
	}
	for _, m := range w.cover.Missing {
		all = append(all, backup.DatasetStatus{
			Dataset:  m,
			Snapshot: backup.Copy{State: backup.CopyMissing, Note: "in the config but not on this machine"},
			Replica:  backup.Copy{State: backup.CopyNone}, Proxmox: backup.Copy{State: backup.CopyNone},
			Offsite: backup.Copy{State: backup.CopyNone},
		})
	}
	return all, nil
}

func (a *Pools) statusOf(w World, c backup.Covered) backup.DatasetStatus {
	name, now := c.Dataset.Name, a.Now()
	s := backup.DatasetStatus{
		Dataset:  name,
		Snapshot: backup.CopyOf(a.Policy.Prefix, name, w.Snapshots[name], c.Row.Frequency.Kind, now),
		Replica:  backup.Copy{State: backup.CopyNone},
		Proxmox:  backup.Copy{State: backup.CopyNone},
		Offsite:  backup.Copy{State: backup.CopyNone},
	}
	for _, r := range a.Policy.Replicas {
		if backup.Under(name, r.Source) {
			target := r.TargetOf(name)
			s.Replica = backup.CopyOf(a.Policy.Prefix, target, w.Snapshots[target], backup.EachDay, now)
			if d := w.dataset(target); d != nil && d.ResumeToken != "" {
				s.Replica.Note = "half received"
			}
		}
	}
	for _, o := range a.Policy.Offsite {
		if backup.PoolOf(name) == o.Pool {
			s.Offsite = backup.Copy{State: backup.CopyUnknown, Where: o.Name, Note: "this version cannot look at the bucket yet"}
		}
	}
	return s
}
