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

func (c *cli) ackCommand() *cobra.Command {
	ack := &cobra.Command{
		Use:   "ack",
		Short: "allow what waits for approval",
		Long:  "Allow what waits for approval. Look at triplicate plan first.",
		Example: `  triplicate ack offsite                   what waits?
  triplicate ack retention nvme/personal`,
	}
	ack.AddCommand(&cobra.Command{
		Use:   "retention DATASET",
		Short: "allow the config's keep of a row, and one mass destroy by it",
		Long: `Allow the keep that the config now has for a row, where it keeps less than before, and
one prune by it that destroys much at once, if prune refuses either now. triplicate plan
shows what would go, and why; a refusal for another reason is not lifted by a yes. It is
recorded on the row's dataset, so it outlives the daemon.`,
		Example: "  triplicate plan && triplicate ack retention nvme/personal",
		Args:    takes(1, 1, "DATASET"),

		ValidArgsFunction: c.completes(0, rowDatasets),
		RunE: func(cc *cobra.Command, args []string) error {
			cfg, pools, err := c.loadPools()
			if err != nil {
				return err
			}
			err = pools.AckRetention(cc.Context(), args[0])
			switch {
			case errors.Is(err, activities.ErrNotConfigured):
				return fail(exitFailed, err, "name the dataset of a row: "+strings.Join(rowDatasets(cc.Context(), cfg), ", "))
			case errors.Is(err, activities.ErrNothingWaits):
				return fail(exitFailed, err, "triplicate plan says what prune refuses, and why")
			case err != nil:
				return fail(exitFailed, err, lookNext)
			}
			if c.json {
				return c.printJSON(map[string]string{"acknowledged": args[0]})
			}
			_, err = fmt.Fprintf(c.out, "acknowledged: the next prune of %s may go by the config\n", args[0])
			return err
		},
	})
	ack.AddCommand(c.ackOffsiteCommand())
	return needsWord(ack)
}

func (c *cli) ackOffsiteCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "offsite [DATASET...]",
		Short: "allow the offsite copies that the last run held back",
		Long: `Allow the offsite copies that the last run held back: the first copy of a dataset,
one that would cost more than the cap, and one where much has changed. Without
arguments it lists what waits. The yes is for what is listed, with a quarter more
for the day that passes, and for the next run only: the night's, or
triplicate run offsite. Prices are those of GLACIER in us-east-1.`,
		Example: `  triplicate ack offsite                 what waits?
  triplicate ack offsite hdd/data        allow one
  triplicate ack offsite --all           allow all that is listed`,

		ValidArgsFunction: c.completes(-1, c.datasets),
		RunE: func(cc *cobra.Command, args []string) error {
			_, copies, err := c.loadCopies()
			if err != nil {
				return err
			}
			if copies.Offsite == nil {
				return fail(exitUsage, errors.New("the config has no offsite target"), "add one under offsite (docs/configuration.md)")
			}
			return c.ackOffsite(cc.Context(), copies.Offsite, args, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "allow all that waits")
	return cmd
}

func (c *cli) ackOffsite(ctx context.Context, offsite *activities.Offsite, args []string, all bool) error {
	held, err := offsite.HeldBack(ctx)
	if err != nil {
		return fail(exitUnreachable, err, lookNext)
	}
	for _, a := range args {
		if !slices.ContainsFunc(held, func(h activities.HeldBack) bool { return h.Dataset == a }) {
			return fail(exitFailed, fmt.Errorf("nothing of %s waits", a), "triplicate ack offsite lists what does")
		}
	}
	waiting := 0
	for i, h := range held {
		if !h.Allowed && (all || slices.Contains(args, h.Dataset)) {
			if err := offsite.AllowOffsite(ctx, h); err != nil {
				return fail(exitFailed, fmt.Errorf("allow %s: %w", h.Dataset, err), "run the same command again; what was allowed before it stays allowed")
			}
			held[i].Allowed = true
		}
		if !held[i].Allowed {
			waiting++
		}
	}
	if c.json {
		if held == nil {
			held = []activities.HeldBack{}
		}
		err = c.printJSON(held)
	} else {
		err = c.printHeld(held)
	}
	if err == nil && waiting > 0 {
		return exit{code: exitApproval}
	}
	return err
}

func (c *cli) printHeld(held []activities.HeldBack) error {
	if len(held) == 0 {
		_, err := fmt.Fprintln(c.out, "nothing waits")
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tDATASET\tUPLOAD\tSIZE\tGONE\tREQUESTS COST\tSTORAGE A MONTH\tSTATE")
	for _, h := range held {
		state := "waits"
		if h.Allowed {
			state = "allowed"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\n", h.Target, h.Dataset, h.Held.Uploads, backup.Bytes(h.Held.Bytes),
			h.Held.Gone, backup.USD(h.Held.USD), backup.USD(h.Held.MonthUSD()), state)
	}
	return w.Flush()
}
