package activities

import (
	"context"
	"fmt"
	"slices"

	"triplicate/internal/backup"
)

// Offsite holds the steps that copy datasets to offsite targets. Its methods are
// the activities.
type Offsite struct {
	*Pools
	// Vault opens a target by name, reading its credentials anew.
	Vault func(target string) (Vault, error)
}

// Register is the one list of these activities.
func (a *Offsite) Register(r Registry) {
	r.RegisterActivity(a.PlanOffsite)
	r.RegisterActivity(a.CopyOffsite)
}

// target finds an offsite target by name.
func (a *Offsite) target(name string) (backup.OffsitePolicy, error) {
	i := slices.IndexFunc(a.Policy.Offsite, func(o backup.OffsitePolicy) bool { return o.Name == name })
	if i < 0 {
		return backup.OffsitePolicy{}, fmt.Errorf("offsite target %q: %w", name, ErrNotConfigured)
	}
	return a.Policy.Offsite[i], nil
}

// PlanOffsiteParams names a target.
type PlanOffsiteParams struct {
	Target string `json:"target"`
}

// OffsitePlan lists a target's datasets, and what of the pool is not copied.
type OffsitePlan struct {
	Target   string   `json:"target"`
	Pool     string   `json:"pool"`
	Datasets []string `json:"datasets"`
	// Idle is the dataset that is copied when the Proxmox datastore on it is idle.
	Idle  string `json:"idle,omitempty"`
	Items []Item `json:"items,omitempty"`
}

// PlanOffsite lists the datasets of a target's pool, its root included, parents
// first. It changes nothing.
func (a *Offsite) PlanOffsite(ctx context.Context, p PlanOffsiteParams) (OffsitePlan, error) {
	defer beat(ctx, func() any { return nil })()
	plan, err := a.planOffsite(ctx, p.Target)
	return plan, failure(err)
}

func (a *Offsite) planOffsite(ctx context.Context, target string) (OffsitePlan, error) {
	o, err := a.target(target)
	if err != nil {
		return OffsitePlan{}, err
	}
	datasets, err := a.ZFS.Datasets(ctx, o.Pool)
	if err != nil {
		return OffsitePlan{}, fmt.Errorf("list pool %s: %w", o.Pool, err)
	}
	if len(datasets) == 0 {
		return OffsitePlan{}, fmt.Errorf("pool %s: %w", o.Pool, backup.ErrNotFound)
	}
	plan := OffsitePlan{Target: target, Pool: o.Pool}
	for _, c := range backup.Cover(a.Policy, datasets).Datasets {
		way, outcome, reason := backup.OffsiteOf(c)
		if way == backup.WayNone {
			plan.Items = append(plan.Items, Item{Name: c.Dataset.Name, Outcome: outcome, Detail: reason})
			continue
		}
		plan.Datasets = append(plan.Datasets, c.Dataset.Name)
		if p := a.Policy.Proxmox; p != nil && c.Dataset.Name == p.Dataset {
			plan.Idle = c.Dataset.Name
		}
	}
	return plan, nil
}

// CopyOffsiteParams names a dataset of a target, and the run.
type CopyOffsiteParams struct {
	Target   string       `json:"target"`
	Dataset  string       `json:"dataset"`
	Stamp    backup.Stamp `json:"stamp"` // of a snapshot that has to be taken for the copy
	Run      string       `json:"run"`
	SpentUSD float64      `json:"spentUSD,omitempty"` // by this run so far
}

// CopyOffsiteResult says what the target holds now.
type CopyOffsiteResult struct {
	Dataset  string         `json:"dataset"`
	Outcome  backup.Outcome `json:"outcome"`
	Detail   string         `json:"detail,omitempty"`
	Snapshot string         `json:"snapshot,omitempty"` // that the copy equals
	Objects  int            `json:"objects,omitempty"`  // put by this step
	Bytes    int64          `json:"bytes,omitempty"`
	USD      float64        `json:"usd,omitempty"` // estimated price of the requests
	Manifest string         `json:"manifest,omitempty"`
}

// OffsiteProgress is the heartbeat of CopyOffsite.
type OffsiteProgress struct {
	Dataset string `json:"dataset"`
	Kind    string `json:"kind"` // looking, comparing, uploading
	Bytes   int64  `json:"bytes"`
	Total   int64  `json:"total"`
	Objects int    `json:"objects,omitempty"`
}

// CopyOffsite brings one dataset's copy up to date. It looks at the dataset and
// at what was committed, uploads what is missing and commits it by its manifest.
// Cut off anywhere and run again, it goes on where it was, from the same
// snapshot: the hold says which.
func (a *Offsite) CopyOffsite(ctx context.Context, p CopyOffsiteParams) (CopyOffsiteResult, error) {
	o, err := a.target(p.Target)
	if err != nil {
		return CopyOffsiteResult{}, failure(err)
	}
	if backup.PoolOf(p.Dataset) != o.Pool {
		return CopyOffsiteResult{}, failure(fmt.Errorf("%s is not on pool %s of target %s: %w", p.Dataset, o.Pool, o.Name, ErrNotConfigured))
	}
	if _, err := p.Stamp.Time(); err != nil {
		return CopyOffsiteResult{}, failure(fmt.Errorf("%w: %w", err, ErrNotConfigured))
	}
	c := &copying{Offsite: a, target: o, params: p}
	c.res = CopyOffsiteResult{Dataset: p.Dataset, Outcome: backup.OK}
	c.show("looking", 0, 0, 0)
	defer beat(ctx, func() any { return c.progress.Load() })()
	// One copy of a dataset to a target at a time; replication and prune do not
	// wait for it, the hold keeps what it reads.
	unlock, err := a.Locks.Lock(ctx, "offsite "+o.Name+" "+p.Dataset)
	if err != nil {
		return c.res, failure(err)
	}
	defer unlock()
	if err := c.run(ctx); err != nil {
		return c.res, failure(fmt.Errorf("copy %s to %s: %w", p.Dataset, o.Name, err))
	}
	logInfo(ctx, "copied offsite", "dataset", p.Dataset, "target", o.Name, "snapshot", c.res.Snapshot,
		"outcome", string(c.res.Outcome), "objects", c.res.Objects, "bytes", c.res.Bytes)
	return c.res, nil
}
