package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"triplicate/activities"
	"triplicate/internal/backup"
)

func (c *cli) snapshotsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "snapshots [DATASET]",
		Short: "the snapshots of a dataset, or of all, and why each is kept",
		Long: `The snapshots of a dataset and everything below it, or of all, and why each is kept.
A pool that cannot be listed is named, and what the others have is printed all the same.`,
		Example: "  triplicate snapshots nvme/personal",
		Args:    takes(0, 1, "DATASET"),

		ValidArgsFunction: c.completes(0, c.datasets),
		RunE: func(cc *cobra.Command, args []string) error {
			_, pools, err := c.loadPools()
			if err != nil {
				return err
			}
			w, err := pools.Look(cc.Context())
			if err != nil {
				return fail(exitUnreachable, err, lookNext)
			}
			lines, refused, found := listSnapshots(cc.Context(), pools, w, args)
			unseen := unlisted(pools, w, args)
			if !found && unseen == nil && len(args) > 0 {
				return fail(exitFailed, fmt.Errorf("no dataset %q in the pools of the config (%s)", args[0], poolNames(pools.Policy)), "zfs list -o name shows those there are")
			}
			if c.json {
				err = c.printJSON(lines)
			} else {
				err = c.printSnapshots(lines, refused)
			}
			if err != nil {
				return err
			}
			return unseen
		},
	}
}

// snapshotLine is a snapshot and what the next prune would do with it.
type snapshotLine struct {
	Snapshot string      `json:"snapshot"`
	GUID     backup.GUID `json:"guid"`
	// Keep is false only where the next prune would destroy it.
	Keep   bool   `json:"keep"`
	Reason string `json:"reason"`
	// Refusal is why prune leaves one that the policy no longer keeps.
	Refusal backup.Refusal `json:"refusal,omitempty"`
}

// listSnapshots are the snapshots that were asked for, and for each dataset that is
// not pruned a line that says why. found: a dataset of that name is there.
func listSnapshots(ctx context.Context, pools *activities.Pools, w activities.World, args []string) (lines []snapshotLine, refused []string, found bool) {
	lines = []snapshotLine{}
	for _, d := range w.Coverage().Datasets {
		if len(args) > 0 && !backup.Under(d.Dataset.Name, args[0]) {
			continue
		}
		found = true
		decided := map[backup.GUID]backup.Decision{}
		plan := backup.KeepResult{}
		if activities.Pruned(d) {
			plan = pools.RetentionPlan(ctx, w, d)
			for _, x := range plan.Decisions {
				decided[x.Snapshot.GUID] = x
			}
		}
		if plan.Refusal != backup.RefuseNone {
			refused = append(refused, fmt.Sprintf("%s is not pruned: %s", d.Dataset.Name, plan.Refusal))
		}
		for _, s := range w.Snapshots[d.Dataset.Name] {
			l := snapshotLine{Snapshot: s.String(), GUID: s.GUID, Keep: true, Reason: "not ours"}
			if _, ours := backup.StampIn(pools.Policy.Prefix, s.Name); ours {
				l.Reason = "under no row that prunes"
			}
			if x, ok := decided[s.GUID]; ok {
				l.Keep, l.Reason = x.Keep, x.Reason
			}
			if !l.Keep && plan.Refusal != backup.RefuseNone {
				l.Keep, l.Refusal = true, plan.Refusal
			}
			lines = append(lines, l)
		}
	}
	return lines, refused, found
}

// unlisted is an error where a pool that was asked for could not be listed: what is
// printed is then not all there is.
func unlisted(pools *activities.Pools, w activities.World, args []string) error {
	var names []string
	var all []error
	for _, pool := range pools.Roots() {
		if err := w.Failed[pool]; err != nil && (len(args) == 0 || backup.PoolOf(args[0]) == pool) {
			names = append(names, pool)
			all = append(all, fmt.Errorf("pool %s cannot be listed, so its snapshots are not shown: %w", pool, err))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fail(exitUnreachable, errors.Join(all...), "zpool status "+strings.Join(names, " ")+"; triplicate check says more")
}

func (c *cli) printSnapshots(lines []snapshotLine, refused []string) error {
	tw := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "SNAPSHOT\tNEXT PRUNE\tREASON")
	for _, l := range lines {
		verb := "keep"
		switch {
		case l.Refusal != backup.RefuseNone:
			verb = "refused"
		case !l.Keep:
			verb = "destroy"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Snapshot, verb, l.Reason)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, text := range refused {
		fmt.Fprintln(c.out, c.paint(backup.Warning, text))
	}
	return nil
}

func poolNames(p backup.Policy) string {
	var names []string
	for _, r := range p.Rows {
		if pool := backup.PoolOf(r.Dataset); !slices.Contains(names, pool) {
			names = append(names, pool)
		}
	}
	return strings.Join(names, ", ")
}
