package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/internal/zaplog"
	"triplicate/workflows"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "is the config right, and does it fit this machine?",
		Long: `Check the config, pools and their keys, permissions and secrets, the clock and its
zone, both Proxmox servers and their tokens, what no backup covers, each bucket,
and the Temporal server with its schedules. All are asked at the same time, each
server and each pool for half a minute at most, and nothing is changed anywhere.

Each finding has a name, and docs/checks.md has a section for each name.`,
		Example: `  triplicate check
  triplicate check --json | jq '.[] | select(.outcome != "ok")'`,
		Args: takes(0, 0, ""),
		RunE: func(cc *cobra.Command, _ []string) error {
			cfg, copies, err := c.loadCopies()
			if err != nil {
				return err
			}
			found := []activities.Finding{c.checkFile()}
			found = append(found, c.checks(cfg, copies).Run(cc.Context(), func(ctx context.Context) []activities.Finding {
				return checkTemporal(ctx, cfg)
			})...)
			if c.json {
				err = c.printJSON(found)
			} else {
				err = c.printFindings(found)
			}
			if err != nil {
				return err
			}
			worst := backup.OK
			for _, f := range found {
				worst = backup.Worst(worst, f.Outcome)
			}
			return outcomeExit(worst)
		},
	}
}

func (c *cli) printFindings(found []activities.Finding) error {
	for _, f := range found {
		// Padded before it is painted: an escape sequence has no width.
		fmt.Fprintf(c.out, "%s %-20s %s\n", c.paint(f.Outcome, fmt.Sprintf("%-8s", f.Outcome)), f.ID, f.Text)
		if f.Todo != "" {
			fmt.Fprintf(c.out, "%29s-> %s (%s)\n", "", f.Todo, f.Doc)
		}
	}
	return nil
}

// checkFile says that the config is right, since it was read. Whoever can write it
// commands the backups.
func (c *cli) checkFile() activities.Finding {
	info, err := os.Stat(c.configPath)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		return activities.Found(activities.FindConfig, backup.Warning, "chmod go-w "+c.configPath,
			fmt.Sprintf("%s is right, but has mode %04o: others than its owner can change it", c.configPath, info.Mode().Perm()))
	}
	return activities.Found(activities.FindConfig, backup.OK, "", c.configPath+" is right")
}

// checkTemporal looks whether the server answers, whether a daemon listens there,
// and whether the schedules are on. A daemon that is not running is a warning:
// looking and restoring work without it, but nothing runs at night.
func checkTemporal(ctx context.Context, cfg *config.Config) []activities.Finding {
	tc, err := app.Dial(ctx, cfg, zaplog.New(zap.NewNop()))
	if err != nil {
		return []activities.Finding{activities.Found(activities.FindTemporal, backup.Warning,
			"start it; nothing runs at night until it does, but looking and restoring work without it", err.Error())}
	}
	defer tc.Close()
	found := []activities.Finding{activities.Found(activities.FindTemporal, backup.OK, "", "the Temporal server answers")}
	found = append(found, checkDaemon(ctx, cfg, tc))
	return append(found, checkSchedules(ctx, cfg, tc)...)
}

// checkDaemon looks for a worker. The server remembers one for a few minutes.
func checkDaemon(ctx context.Context, cfg *config.Config, tc client.Client) activities.Finding {
	queue := workflows.TaskQueue(cfg.Host)
	const todo = "systemctl start triplicated; the runs that are due wait for it"
	got, err := tc.DescribeTaskQueue(ctx, queue, enums.TASK_QUEUE_TYPE_WORKFLOW)
	switch {
	case err != nil:
		return activities.Found(activities.FindDaemon, backup.Warning, todo, fmt.Sprintf("whether a daemon serves task queue %s cannot be seen: %v", queue, err))
	case len(got.GetPollers()) == 0:
		return activities.Found(activities.FindDaemon, backup.Warning, todo, "no daemon serves task queue "+queue)
	}
	newest := slices.MaxFunc(got.GetPollers(), func(a, b *taskqueuepb.PollerInfo) int {
		return a.GetLastAccessTime().AsTime().Compare(b.GetLastAccessTime().AsTime())
	})
	if newest.GetIdentity() != app.Identity(cfg) {
		return activities.Found(activities.FindDaemon, backup.Warning, "systemctl restart triplicated; a night that runs goes on",
			"the daemon on task queue "+queue+" has read another config than this one, or is of another version")
	}
	return activities.Found(activities.FindDaemon, backup.OK, "", "a daemon serves task queue "+queue)
}

func checkSchedules(ctx context.Context, cfg *config.Config, tc client.Client) (found []activities.Finding) {
	warn := func(todo, format string, args ...any) {
		found = append(found, activities.Found(activities.FindSchedule, backup.Warning, todo, fmt.Sprintf(format, args...)))
	}
	missing, paused, err := app.Schedules(ctx, tc, cfg)
	if err != nil {
		warn("triplicate schedules list", "the schedules cannot be seen: %v", err)
		return found
	}
	if len(missing) > 0 {
		warn("triplicate schedules sync", "%s: not on the Temporal server", strings.Join(missing, ", "))
	}
	for _, s := range paused {
		warn("temporal schedule toggle --unpause --schedule-id "+s.ID, "%s is paused: %s", s.ID, orNone(s.Note))
	}
	if len(found) == 0 {
		found = append(found, activities.Found(activities.FindSchedule, backup.OK, "", "the schedules are there, and on"))
	}
	return found
}

func orNone(note string) string {
	if note == "" {
		return "no reason given"
	}
	return note
}

// checks are the looks of check, or a test's.
func (c *cli) checks(cfg *config.Config, copies *activities.Copies) *activities.Checks {
	checks := app.Checks(cfg, copies)
	if c.machine != nil {
		checks.Machine = c.machine(checks.Machine)
	}
	return checks
}
