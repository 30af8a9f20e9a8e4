package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/internal/zaplog"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "is the config right, and does it fit this machine?",
		Long: `Check the config, the pools it names, which datasets no row covers, the clock and
the Temporal server. It changes nothing.
` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cc *cobra.Command, _ []string) error {
			cfg, pools, err := c.loadPools()
			if err != nil {
				return err
			}
			findings := []activities.Finding{{ID: "config", Outcome: backup.OK, Text: c.configPath + " is right"}}
			findings = append(findings, pools.Check(cc.Context())...)
			findings = append(findings, checkTemporal(cc.Context(), cfg))
			worst := backup.OK
			for _, f := range findings {
				worst = backup.Worst(worst, f.Outcome)
			}
			if c.json {
				if err := c.printJSON(findings); err != nil {
					return err
				}
				return outcomeExit(worst)
			}
			for _, f := range findings {
				fmt.Fprintf(c.out, "%-8s %-10s %s\n", c.paint(f.Outcome, string(f.Outcome)), f.ID, f.Text)
			}
			return outcomeExit(worst)
		},
	}
}

// checkTemporal says whether the server answers. A daemon that is not running is
// a warning: looking and restoring work without it, but nothing runs at night.
func checkTemporal(ctx context.Context, cfg *config.Config) activities.Finding {
	tc, err := app.Dial(ctx, cfg, zaplog.New(zap.NewNop()))
	if err != nil {
		return activities.Finding{ID: "temporal", Outcome: backup.Warning, Text: err.Error()}
	}
	defer tc.Close()
	return activities.Finding{ID: "temporal", Outcome: backup.OK, Text: "the Temporal server answers"}
}
