package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"triplicate/internal/app"
	"triplicate/schedules"
)

func (c *cli) schedulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedules",
		Short: "what runs when",
		Long: `What runs when. Pause, trigger and backfill with temporal schedule (or tctl, or the
Web UI); edit in the config: temporal schedule update replaces all that it is not
told, and the next sync would set it right again.`,
		Example: `  triplicate schedules list
  temporal schedule toggle --schedule-id smith-nightly --pause --reason "moving house"`,
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "the schedules as the Temporal server has them", Args: takes(0, 0, ""),
		Long:    "List the schedules as the Temporal server has them: when each is next due, whether it is\npaused, and the note that its operator left.",
		Example: "  triplicate schedules list",
		RunE: func(cc *cobra.Command, _ []string) error {
			cfg, tc, err := c.dial(cc.Context())
			if err != nil {
				return err
			}
			defer tc.Close()
			namespace, err := app.Namespace(cfg)
			if err != nil {
				return fail(exitUnreachable, err, serverNext)
			}
			list, err := schedules.List(cc.Context(), tc, namespace, cfg.Host)
			if err != nil {
				return fail(exitUnreachable, err, serverNext)
			}
			if c.json {
				return c.printJSON(append([]schedules.Status{}, list...))
			}
			return c.printSchedules(list, cfg.Policy().Zone)
		},
	}, &cobra.Command{
		Use: "sync", Short: "make the schedules agree with the config now", Args: takes(0, 0, ""),
		Long: `Make the schedules agree with the config now; the daemon does it when it starts and
every hour. Pauses and their notes stay as they are.`,
		Example: "  triplicate schedules sync",
		RunE: func(cc *cobra.Command, _ []string) error {
			cfg, tc, err := c.dial(cc.Context())
			if err != nil {
				return err
			}
			defer tc.Close()
			report, err := app.SyncSchedules(cc.Context(), tc, cfg)
			if err != nil {
				return fail(exitFailed, err, "run it again; a schedule that somebody else made has to be deleted, or host renamed")
			}
			if c.json {
				return c.printJSON(report)
			}
			for _, x := range []struct {
				verb string
				ids  []string
			}{
				{"created", report.Created}, {"updated", report.Updated}, {"unchanged", report.Unchanged}, {"deleted", report.Deleted},
			} {
				if len(x.ids) > 0 {
					fmt.Fprintf(c.out, "%s: %s\n", x.verb, strings.Join(x.ids, ", "))
				}
			}
			for _, p := range report.Paused {
				fmt.Fprintf(c.out, "paused by the operator: %s (%s)\n", p.ID, p.Note)
			}
			return nil
		},
	})
	return needsWord(cmd)
}

func (c *cli) printSchedules(list []schedules.Status, zone *time.Location) error {
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SCHEDULE\tNEXT\tSTATE\tNOTE")
	for _, s := range list {
		next := "-"
		if len(s.Next) > 0 {
			next = s.Next[0].In(zone).Format("Mon 2 Jan 15:04 MST")
		}
		state := "on"
		if s.Paused {
			state = "PAUSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.ID, next, state, s.Note)
	}
	return w.Flush()
}
