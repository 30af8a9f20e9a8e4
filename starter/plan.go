package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// planned is what plan prints: what a run reads, and what prune would decide now.
type planned struct {
	Nightly activities.Plan `json:"nightly"`
	Starts  time.Time       `json:"starts,omitzero"`
	Prune   []prunePlan     `json:"prune"`
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
each snapshot. It calls the very functions that a run calls, and changes nothing.
` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cc *cobra.Command, _ []string) error {
			_, pools, err := c.loadPools()
			if err != nil {
				return err
			}
			p, err := makePlan(cc.Context(), pools)
			if err != nil {
				return exit{exitUnreachable, err}
			}
			if c.json {
				return c.printJSON(p)
			}
			c.printPlan(p, pools.Policy, all)
			for _, d := range p.Prune {
				if d.Refusal != backup.RefuseNone {
					return exit{code: exitApproval}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list the snapshots that stay, too")
	return cmd
}

func makePlan(ctx context.Context, pools *activities.Pools) (planned, error) {
	var p planned
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
	w, err := pools.Look(ctx)
	if err != nil {
		return p, err
	}
	for _, d := range w.Coverage().Datasets {
		if d.Row == nil || d.Row.Frequency.Kind == backup.Disabled {
			continue
		}
		res := pools.RetentionPlan(ctx, w, d)
		p.Prune = append(p.Prune, prunePlan{
			Dataset: d.Dataset.Name, Keep: d.Row.Keep.String(), Refusal: res.Refusal,
			Foreign: res.Foreign, Decisions: res.Decisions,
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
		when := "at once"
		if !g.At.IsZero() {
			when = g.At.In(policy.Zone).Format("15:04")
		}
		fmt.Fprintf(c.out, "  %s  snapshot %d datasets of %s in one command\n", when, len(g.Datasets), g.Pool)
		for _, d := range g.Datasets {
			fmt.Fprintf(c.out, "           %s\n", d)
		}
	}
	for _, s := range p.Nightly.Stages {
		switch {
		case !s.Configured && s.Stage != backup.StageSnapshot:
			fmt.Fprintf(c.out, "  -      %s: not configured\n", s.Stage)
		case s.Unsupported:
			fmt.Fprintf(c.out, "  -      %s: configured, but this version cannot run it yet\n", s.Stage)
		case s.Stage == backup.StageReplicate:
			for _, r := range policy.Replicas {
				fmt.Fprintf(c.out, "  %s  replicate %s to %s\n", s.At.In(policy.Zone).Format("15:04"), r.Source, r.Target)
			}
		}
	}
	for _, n := range p.Nightly.Notes {
		fmt.Fprintf(c.out, "note: %s\n", n)
	}
	fmt.Fprintln(c.out, "\nprune would now:")
	for _, d := range p.Prune {
		c.printPrune(d, all)
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
