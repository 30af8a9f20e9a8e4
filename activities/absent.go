package activities

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"triplicate/internal/backup"
)

// At the first tries ReadPlan asks again instead of going on without a pool.
const (
	// bootTries of a quick step take some seven minutes: at boot the pools may
	// come later than the daemon. Then the run goes on, for Proxmox at least.
	bootTries = 20
	// hiccups are tries at what may have been a moment's trouble. They take five
	// seconds, for the other pools wait for them.
	hiccups = 2
)

// maxNotes bounds a plan's notes.
const maxNotes = 50

// again is an error when looking once more is better than going on with what was
// seen: no pool is imported yet, or one could not be listed for a reason that may
// have passed. A hung pool is none: each try takes minutes.
func (a *Pools) again(try int, all listing, failed map[string]error) error {
	pools := a.roots()
	var hiccup error
	absent := false
	for _, pool := range pools {
		err := failed[pool]
		if err != nil && !errors.Is(err, errNoAnswer) && !isPermanent(err) {
			hiccup = fmt.Errorf("list pool %s: %w", pool, err)
		}
		absent = absent || err == nil && !seen(all.datasets, pool)
	}
	switch {
	case absent && len(all.datasets) == 0 && try <= bootTries:
		return fmt.Errorf("no pool of the config is imported (%s); the machine may be starting", strings.Join(pools, ", "))
	case try <= hiccups:
		return hiccup
	}
	return nil
}

// tryOf counts the tries of an activity from 1. Outside of a worker nobody tries
// again, so any is the last.
func tryOf(ctx context.Context) int {
	if !activity.IsActivity(ctx) {
		return math.MaxInt
	}
	return int(activity.GetInfo(ctx).Attempt)
}

// missing puts into the plan what of the config is not there: what the run needs as
// failed items, the rest, and the pools that no row names, as notes.
func (a *Pools) missing(plan *Plan, p ReadPlanParams, cover backup.Coverage, all listing, failed map[string]error) {
	note := func(name, why string) {
		if len(plan.Notes) < maxNotes {
			plan.Notes = append(plan.Notes, name+": "+why)
		}
	}
	for _, name := range cover.Missing {
		why := short(whyAbsent(name, all, failed))
		if a.needs(p, name) {
			plan.Items = append(plan.Items, Item{Name: name, Outcome: backup.Failed, Detail: why})
		} else {
			note(name, why)
		}
	}
	for _, pool := range a.roots() {
		named := slices.ContainsFunc(cover.Missing, func(name string) bool { return backup.PoolOf(name) == pool })
		if !named && !seen(all.datasets, pool) {
			note(pool, short(whyAbsent(pool, all, failed)))
		}
	}
	plan.Items = AtMost(plan.Items)
}

// needs says whether a run fails when a dataset is not there: the hourly run for
// the hourly rows, the night and the snapshot run for every enabled row, the whole
// night for the replicas' sources too.
func (a *Pools) needs(p ReadPlanParams, dataset string) bool {
	if p.OnlyStage != "" && p.OnlyStage != string(backup.StageSnapshot) {
		return false
	}
	row := slices.ContainsFunc(a.Policy.Rows, func(r backup.Row) bool {
		return r.Dataset == dataset && r.Frequency.Kind != backup.Disabled &&
			(p.Workflow != PlanHourly || r.Frequency.Kind == backup.EachHour)
	})
	source := slices.ContainsFunc(a.Policy.Replicas, func(r backup.Replica) bool { return r.Source == dataset })
	return row || source && p.Workflow == PlanNightly && p.OnlyStage == ""
}

// snapshots says whether the snapshot stage has something to do or to report.
func (p *Plan) snapshots() bool { return len(p.Groups) > 0 || len(p.Items) > 0 }
