package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// BackfillAfter is how late a scheduled run may be and still count as its night.
// It is the nightly schedule's catchup window: anything later was asked for by a
// backfill, and nothing is back-dated.
const BackfillAfter = 12 * time.Hour

// ReadPlan resolves config and world into what a run will do. It changes nothing.
// What it misses is in the plan's items and keeps the rest from nothing; only a
// machine that seems to be still starting is an error, to be asked again.
func (a *Pools) ReadPlan(ctx context.Context, p ReadPlanParams) (Plan, error) {
	defer beat(ctx, func() any { return nil })()
	all, failed, err := a.listPools(ctx, false)
	if err == nil {
		err = a.again(tryOf(ctx), all, failed)
	}
	if err != nil {
		return Plan{}, failure(fmt.Errorf("read the plan: %w", err))
	}
	cover := backup.Cover(a.Policy, all.datasets)
	plan := Plan{Host: a.Policy.Host, Workflow: p.Workflow, Run: Manual}
	a.missing(&plan, p, cover, all, failed)
	switch p.Workflow {
	case PlanHourly:
		a.planHourly(&plan, p, cover)
	case PlanSnapshot:
		plan.Groups = setsOf(cover.DueNow(), time.Time{})
		plan.Stages = []StagePlan{{Stage: backup.StageSnapshot, Configured: plan.snapshots()}}
	case PlanNightly:
		a.planNightly(&plan, p, cover)
	default:
		return Plan{}, failure(fmt.Errorf("plan for %q: %w", p.Workflow, ErrNotConfigured))
	}
	return plan, nil
}

// roots are the pools that the policy names; nothing else is ever looked at.
func (a *Pools) roots() []string {
	var pools []string
	add := func(name string) {
		if pool := backup.PoolOf(name); pool != "" && !slices.Contains(pools, pool) {
			pools = append(pools, pool)
		}
	}
	for _, r := range a.Policy.Rows {
		add(r.Dataset)
	}
	for _, r := range a.Policy.Replicas {
		add(r.Source)
		add(r.Target)
	}
	for _, o := range a.Policy.Offsite {
		add(o.Pool)
	}
	return pools
}

func (a *Pools) planHourly(plan *Plan, p ReadPlanParams, cover backup.Coverage) {
	var at time.Time
	if !p.Scheduled.IsZero() {
		// An hour that a trigger or a backfill names is not back-dated: the stamp
		// rule takes the real instant when the named one is not near.
		plan.Run, at = Scheduled, p.Scheduled
	}
	plan.Groups = setsOf(cover.DueHourly(), at)
	plan.Stages = []StagePlan{{Stage: backup.StageSnapshot, Configured: plan.snapshots()}}
}

func (a *Pools) planNightly(plan *Plan, p ReadPlanParams, cover backup.Coverage) {
	night, exact := backup.NightOf(a.Policy, p.Scheduled)
	switch {
	case p.Scheduled.IsZero() || !exact: // started by hand, or a schedule's trigger
		night, _ = backup.NightOf(a.Policy, p.Started)
	case p.Started.Sub(p.Scheduled) > BackfillAfter:
		plan.Run = Backfill
		plan.Notes = append(plan.Notes, fmt.Sprintf(
			"backfill of the night of %s: nothing is back-dated, this run copies what is there now", night.Date))
	default:
		plan.Run = Scheduled
	}
	plan.Night = night.Date.String()
	timed := plan.Run == Scheduled
	a.nightGroups(plan, night, timed, cover)
	at := func(t backup.TimeOfDay) time.Time {
		if !timed {
			return time.Time{}
		}
		return night.At(t, a.Policy.Zone)
	}
	for _, r := range a.Policy.Replicas {
		plan.Replicas = append(plan.Replicas, PartPlan{r.Name, at(r.At)})
	}
	for _, o := range a.Policy.Offsite {
		plan.Targets = append(plan.Targets, PartPlan{o.Name, at(o.At)})
	}
	configured := map[backup.Stage]bool{
		backup.StageSnapshot:  plan.snapshots(),
		backup.StageProxmox:   a.Policy.Proxmox != nil,
		backup.StageReplicate: len(plan.Replicas) > 0,
		backup.StageOffsite:   len(plan.Targets) > 0,
	}
	for _, s := range backup.Stages() {
		if p.OnlyStage != "" && p.OnlyStage != string(s) {
			continue
		}
		sp := StagePlan{Stage: s, Configured: configured[s]}
		if timed && sp.Configured {
			sp.At, sp.LatestEnd = night.Stages[s], night.LatestEnd[s]
		}
		plan.Stages = append(plan.Stages, sp)
	}
}

// nightGroups collects what a night snapshots: each set at its time, or, by hand,
// all of it at once with one command for each pool.
func (a *Pools) nightGroups(plan *Plan, night backup.NightTimes, timed bool, cover backup.Coverage) {
	var all []string
	for _, due := range backup.DueNightly(a.Policy, cover) {
		all = append(all, due.Datasets...)
		if timed {
			plan.Groups = append(plan.Groups, setsOf(due.Datasets, night.Snapshots[due.At])...)
		}
	}
	if !timed {
		plan.Groups = setsOf(all, time.Time{})
	}
}

// setsOf splits names by pool, keeping their order: one set is one command.
func setsOf(names []string, at time.Time) []SnapshotSet {
	var sets []SnapshotSet
	for _, n := range names {
		pool := backup.PoolOf(n)
		i := slices.IndexFunc(sets, func(s SnapshotSet) bool { return s.Pool == pool })
		if i < 0 {
			i = len(sets)
			sets = append(sets, SnapshotSet{Pool: pool, At: at})
		}
		sets[i].Datasets = append(sets[i].Datasets, n)
	}
	return sets
}
