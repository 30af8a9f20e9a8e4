package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"triplicate/internal/backup"
)

func (c *cli) snapshotsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "snapshots [DATASET]",
		Short:   "the snapshots of a dataset, or of all, and why each is kept",
		Long:    "The snapshots of a dataset and everything below it, or of all, and why each is kept.",
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
			type line struct {
				Snapshot string      `json:"snapshot"`
				GUID     backup.GUID `json:"guid"`
				Keep     bool        `json:"keep"`
				Reason   string      `json:"reason"`
			}
			lines := []line{}
			found := false
			for _, d := range w.Coverage().Datasets {
				if len(args) > 0 && !backup.Under(d.Dataset.Name, args[0]) {
					continue
				}
				found = true
				decided := map[backup.GUID]backup.Decision{}
				if d.Row != nil {
					for _, x := range pools.RetentionPlan(cc.Context(), w, d).Decisions {
						decided[x.Snapshot.GUID] = x
					}
				}
				for _, s := range w.Snapshots[d.Dataset.Name] {
					l := line{Snapshot: s.String(), GUID: s.GUID, Keep: true, Reason: "not ours"}
					if x, ok := decided[s.GUID]; ok {
						l.Keep, l.Reason = x.Keep, x.Reason
					}
					lines = append(lines, l)
				}
			}
			if !found && len(args) > 0 {
				return fail(exitFailed, fmt.Errorf("no dataset %q in the pools of the config (%s)", args[0], poolNames(pools.Policy)), "zfs list -o name shows those there are")
			}
			if c.json {
				return c.printJSON(lines)
			}
			tw := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(tw, "SNAPSHOT\tNEXT PRUNE\tREASON")
			for _, l := range lines {
				verb := "keep"
				if !l.Keep {
					verb = "destroy"
				}
				fmt.Fprintf(tw, "%s\t%s\t%s\n", l.Snapshot, verb, l.Reason)
			}
			return tw.Flush()
		},
	}
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
