package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// planned is what plan prints: what a run reads, and what prune would decide now.
type planned struct {
	Nightly activities.Plan `json:"nightly"`
	Starts  time.Time       `json:"starts,omitzero"`
	// Guests and Offsite are what their stages would find if they began now; what
	// could not be asked is in Problems.
	Guests   *activities.GuestPlan    `json:"guests,omitempty"`
	Offsite  []activities.OffsitePlan `json:"offsite,omitempty"`
	Held     []activities.HeldBack    `json:"held,omitempty"`
	Problems []string                 `json:"problems,omitempty"`
	Prune    []prunePlan              `json:"prune"`
}

type prunePlan struct {
	Dataset   string            `json:"dataset"`
	Keep      string            `json:"keep"`
	Refusal   backup.Refusal    `json:"refusal,omitempty"`
	Foreign   int               `json:"foreign"`
	Decisions []backup.Decision `json:"decisions"`
}

func (c *cli) planCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "what the next night would do, and what prune would destroy, with reasons",
		Long: `What the next night would do, and what prune would destroy now, with the reason for
each snapshot. It calls the very functions that a run calls, and changes nothing. What
cannot be looked at is named, and is a warning.`,
		Example: `  triplicate plan
  triplicate plan --all                 also what stays, and why
  triplicate plan --json | jq '.prune[].decisions[] | select(.keep | not)'`,
		Args: takes(0, 0, ""),
		RunE: func(cc *cobra.Command, _ []string) error {
			_, copies, err := c.loadCopies()
			if err != nil {
				return err
			}
			p, err := makePlan(cc.Context(), copies)
			if err != nil {
				return fail(exitUnreachable, err, lookNext)
			}
			if c.json {
				if err := c.printJSON(p); err != nil {
					return err
				}
			} else {
				c.printPlan(p, copies.Pools.Policy, all)
			}
			return outcomeExit(p.outcome())
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list the snapshots that stay, too")
	return cmd
}

// outcome is what the plan ends with: approval where an ack would let something go
// on, a warning where a stage could not be looked at or would leave something out.
func (p planned) outcome() backup.Outcome {
	worst := backup.OK
	for _, d := range p.Prune {
		switch {
		case activities.AckLifts(d.Refusal):
			worst = backup.Worst(worst, backup.NeedsApproval)
		case d.Refusal != backup.RefuseNone:
			worst = backup.Worst(worst, backup.Warning)
		}
	}
	for _, h := range p.Held {
		if !h.Allowed {
			worst = backup.Worst(worst, backup.NeedsApproval)
		}
	}
	for _, it := range p.Nightly.Items {
		if backup.Worst(it.Outcome, backup.Warning) == it.Outcome {
			worst = backup.Worst(worst, backup.Warning)
		}
	}
	if len(p.Problems) > 0 {
		worst = backup.Worst(worst, backup.Warning)
	}
	return worst
}

func makePlan(ctx context.Context, copies *activities.Copies) (planned, error) {
	p := planned{Prune: []prunePlan{}}
	pools := copies.Pools
	now := pools.Now()
	next := nextNight(pools.Policy, now)
	params := activities.ReadPlanParams{Workflow: activities.PlanNightly, Started: now}
	if !next.IsZero() {
		params.Scheduled, params.Started, p.Starts = next, next, next
	}
	var err error
	if p.Nightly, err = pools.ReadPlan(ctx, params); err != nil {
		return p, err
	}
	p.ask(ctx, copies)
	w, err := pools.Look(ctx)
	if err != nil {
		return p, err
	}
	for _, pool := range slices.Sorted(maps.Keys(w.Failed)) {
		p.Problems = append(p.Problems, fmt.Sprintf("pool %s: %v", pool, w.Failed[pool]))
	}
	for _, d := range w.Coverage().Datasets {
		if !activities.Pruned(d) {
			continue
		}
		res := pools.RetentionPlan(ctx, w, d)
		p.Prune = append(p.Prune, prunePlan{
			Dataset: d.Dataset.Name, Keep: d.Row.Keep.String(), Refusal: res.Refusal,
			Foreign: res.Foreign, Decisions: append([]backup.Decision{}, res.Decisions...),
		})
	}
	return p, nil
}

// nextNight is when the next scheduled night starts; zero if nothing is daily.
func nextNight(p backup.Policy, now time.Time) time.Time {
	today := backup.DateOf(now, p.Zone)
	for d := range 4 {
		if n := backup.NightAt(p, today.Add(d-1)); n.Start.After(now) {
			return n.Start
		}
	}
	return time.Time{}
}

func (c *cli) printPlan(p planned, policy backup.Policy, all bool) {
	local := func(t time.Time) string { return t.In(policy.Zone).Format("Mon 2 Jan 15:04 MST") }
	if p.Starts.IsZero() {
		fmt.Fprintln(c.out, "nothing is daily; there is no night")
	} else {
		fmt.Fprintf(c.out, "next night: %s\n", local(p.Starts))
	}
	for _, g := range p.Nightly.Groups {
		fmt.Fprintf(c.out, "  %s  snapshot %d datasets of %s in one command\n", clock(g.At, policy), len(g.Datasets), g.Pool)
		for _, d := range g.Datasets {
			fmt.Fprintf(c.out, "           %s\n", d)
		}
	}
	for _, s := range p.Nightly.Stages {
		if !s.Configured && s.Stage != backup.StageSnapshot {
			fmt.Fprintf(c.out, "  -      %s: not configured\n", s.Stage)
			continue
		}
		switch s.Stage {
		case backup.StageProxmox:
			c.printGuests(p, clock(s.At, policy))
		case backup.StageReplicate:
			for i, r := range policy.Replicas {
				fmt.Fprintf(c.out, "  %s  replicate %s to %s\n", clock(p.Nightly.Replicas[i].At, policy), r.Source, r.Target)
			}
		case backup.StageOffsite:
			c.printOffsite(p, policy)
		}
	}
	for _, text := range p.Problems {
		fmt.Fprintf(c.out, "%s %s\n", c.paint(backup.Warning, "cannot be seen:"), text)
	}
	for _, it := range p.Nightly.Items {
		fmt.Fprintf(c.out, "%s %s: %s\n", c.paint(it.Outcome, string(it.Outcome)), it.Name, it.Detail)
	}
	for _, n := range p.Nightly.Notes {
		fmt.Fprintf(c.out, "note: %s\n", n)
	}
	fmt.Fprintln(c.out, "\nprune would now:")
	for _, d := range p.Prune {
		c.printPrune(d, all)
	}
}

// clock is a time of the night as the config has it.
func clock(t time.Time, p backup.Policy) string {
	if t.IsZero() {
		return "now  "
	}
	return t.In(p.Zone).Format("15:04")
}

// ask asks Proxmox and the pools what the later stages would do. That one cannot
// be asked now does not hide what the others say.
func (p *planned) ask(ctx context.Context, copies *activities.Copies) {
	if copies.Guests != nil {
		plan, err := copies.Guests.PlanGuests(ctx, activities.PlanGuestsParams{})
		if err != nil {
			p.Problems = append(p.Problems, "proxmox: "+err.Error())
		} else {
			p.Guests = &plan
		}
	}
	if copies.Offsite == nil {
		return
	}
	for _, o := range copies.Pools.Policy.Offsite {
		plan, err := copies.Offsite.PlanOffsite(ctx, activities.PlanOffsiteParams{Target: o.Name})
		if err != nil {
			p.Problems = append(p.Problems, "offsite "+o.Name+": "+err.Error())
			continue
		}
		plan.Datasets = append([]string{}, plan.Datasets...)
		p.Offsite = append(p.Offsite, plan)
	}
	held, err := copies.Offsite.HeldBack(ctx)
	if err != nil {
		p.Problems = append(p.Problems, "offsite: "+err.Error())
	}
	p.Held = held
}

func (c *cli) printGuests(p planned, at string) {
	if p.Guests == nil {
		fmt.Fprintf(c.out, "  %s  proxmox\n", at)
		return
	}
	total := 0
	for _, n := range p.Guests.Nodes {
		total += len(n.Guests)
	}
	fmt.Fprintf(c.out, "  %s  proxmox: back up %d guests, one after the other on each of %d nodes\n", at, total, len(p.Guests.Nodes))
	for _, n := range p.Guests.Nodes {
		for _, g := range n.Guests {
			fmt.Fprintf(c.out, "           %s on %s\n", g, n.Node)
		}
	}
	for _, it := range p.Guests.Items {
		fmt.Fprintf(c.out, "           %s %s: %s\n", c.paint(it.Outcome, string(it.Outcome)), it.Name, it.Detail)
	}
}

func (c *cli) printOffsite(p planned, policy backup.Policy) {
	for i, o := range policy.Offsite {
		at := clock(p.Nightly.Targets[i].At, policy)
		j := slices.IndexFunc(p.Offsite, func(x activities.OffsitePlan) bool { return x.Target == o.Name })
		if j < 0 {
			fmt.Fprintf(c.out, "  %s  offsite: copy %s to %s\n", at, o.Pool, o.Name)
			continue
		}
		plan := p.Offsite[j]
		fmt.Fprintf(c.out, "  %s  offsite: copy %d datasets of %s to %s (bucket %s)\n", at, len(plan.Datasets), o.Pool, o.Name, o.Bucket)
		for _, d := range plan.Datasets {
			note := ""
			if d == plan.Idle {
				note = ", when the datastore on it is idle"
			}
			fmt.Fprintf(c.out, "           %s%s\n", d, note)
		}
		for _, it := range plan.Items {
			fmt.Fprintf(c.out, "           %s %s: %s\n", c.paint(it.Outcome, string(it.Outcome)), it.Name, it.Detail)
		}
	}
	for _, h := range p.Held {
		if !h.Allowed {
			fmt.Fprintf(c.out, "           %s %s: %d objects, %s, about %s; triplicate ack offsite %s\n", c.paint(backup.NeedsApproval, "waits"),
				h.Dataset, h.Held.Uploads, backup.Bytes(h.Held.Bytes), backup.USD(h.Held.USD), h.Dataset)
		}
	}
}

func (c *cli) printPrune(d prunePlan, all bool) {
	gone := 0
	for _, x := range d.Decisions {
		if !x.Keep {
			gone++
		}
	}
	fmt.Fprintf(c.out, "  %s (%s): keep %d, destroy %d", d.Dataset, d.Keep, len(d.Decisions)-gone, gone)
	if d.Foreign > 0 {
		fmt.Fprintf(c.out, ", leave %d that are not ours", d.Foreign)
	}
	fmt.Fprintln(c.out)
	if d.Refusal != backup.RefuseNone {
		fmt.Fprintf(c.out, "    %s %s\n", c.paint(backup.NeedsApproval, "refused:"), d.Refusal)
	}
	for _, x := range d.Decisions {
		switch {
		case !x.Keep:
			fmt.Fprintf(c.out, "    destroy @%s: %s\n", x.Snapshot.Name, x.Reason)
		case all:
			fmt.Fprintf(c.out, "    keep    @%s: %s\n", x.Snapshot.Name, x.Reason)
		}
	}
}
