package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/workflows"
)

func (c *cli) runCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "start a run now",
		Long: `Start a run now. It stamps its snapshots with its own time and waits for no stage
times. The daemon does the work, so the run goes on when this command ends; with
--wait the command follows it, and its exit status tells how the run ended.`,
		Example: `  triplicate run nightly --wait
  triplicate run replicate personal`,
	}
	cmd.PersistentFlags().BoolVar(&wait, "wait", false, "follow the run to its end; the exit status tells how it ended")
	verb := func(use, short, long string, args cobra.PositionalArgs, start func(cfg *config.Config, arg string) (id string, wf any, params any, err error)) {
		completes := cobra.NoFileCompletions
		if strings.Contains(use, "REPLICA") {
			completes = c.completes(0, replicaNames)
		}
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: args,
			Long: long + "\nWithout --wait, 0 means that the run was started.", Example: "  triplicate run " + strings.Replace(use, "REPLICA", "personal", 1) + " --wait",
			ValidArgsFunction: completes,
			RunE: func(cc *cobra.Command, args []string) error {
				return c.start(cc.Context(), wait, strings.Join(args, " "), start)
			},
		})
	}
	verb("nightly", "a whole night: snapshot, proxmox, replicate, offsite, prune",
		"Start a whole night: snapshot, proxmox, replicate, offsite, and the prunes after them.", takes(0, 0, ""),
		func(cfg *config.Config, _ string) (string, any, any, error) {
			return c.byHand(workflows.NightlyID(cfg.Host)), workflows.Nightly, workflows.NightlyParams{}, nil
		})
	verb("hourly", "the hourly snapshots and their prune",
		"Take the snapshots of the hourly rows and prune by their keep, as every full hour does.", takes(0, 0, ""),
		func(cfg *config.Config, _ string) (string, any, any, error) {
			return c.byHand(workflows.HourlyID(cfg.Host)), workflows.Hourly, workflows.HourlyParams{}, nil
		})
	verb("snapshot", "a snapshot of every dataset that has an enabled row",
		"Take a snapshot of every dataset that has an enabled row: before an upgrade, say.\nAll datasets of a pool are of the same instant.", takes(0, 0, ""),
		func(cfg *config.Config, _ string) (string, any, any, error) {
			return c.byHand(cfg.Host + "-snapshot"), workflows.Nightly, workflows.NightlyParams{Only: string(backup.StageSnapshot)}, nil
		})
	only := func(stage backup.Stage) func(*config.Config, string) (string, any, any, error) {
		return func(cfg *config.Config, _ string) (string, any, any, error) {
			p := cfg.Policy()
			if stage == backup.StageProxmox && p.Proxmox == nil || stage == backup.StageOffsite && len(p.Offsite) == 0 {
				return "", nil, nil, fmt.Errorf("the config has no %s", stage)
			}
			return c.byHand(cfg.Host + "-" + string(stage)), workflows.Nightly, workflows.NightlyParams{Only: string(stage)}, nil
		}
	}
	verb("proxmox", "back up the guests, then verify, prune and collect garbage",
		"Back up the guests with vzdump, one after the other on each node; then verify what is\nnew, prune, and collect garbage on Proxmox Backup Server.", takes(0, 0, ""), only(backup.StageProxmox))
	verb("offsite", "copy to every offsite target, from the newest snapshots",
		"Copy to every offsite target, from the newest snapshots. What needs approval is held back:\ntriplicate ack offsite.", takes(0, 0, ""), only(backup.StageOffsite))
	verb("replicate REPLICA", "bring one replica up to date",
		"Bring one replica up to date, by its name in the config. A copy that was cut off goes on\nfrom where it was.", takes(1, 1, "REPLICA"),
		func(cfg *config.Config, name string) (string, any, any, error) {
			var names []string
			for _, r := range cfg.Policy().Replicas {
				if r.Name == name {
					return workflows.ReplicateID(cfg.Host, name), workflows.Replicate,
						workflows.ReplicateParams{Replica: name, Host: cfg.Host}, nil
				}
				names = append(names, r.Name)
			}
			return "", nil, nil, fmt.Errorf("no replica %q; there are: %s", name, strings.Join(names, ", "))
		})
	return needsWord(cmd)
}

// byHand gives a run started by hand an ID of its own.
func (c *cli) byHand(id string) string {
	return id + "-run-" + c.clock().UTC().Format("20060102T150405.000Z")
}

// clock is the time, or a test's.
func (c *cli) clock() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// start starts a workflow and, if asked, follows it.
func (c *cli) start(ctx context.Context, wait bool, arg string,
	what func(*config.Config, string) (string, any, any, error),
) error {
	cfg, tc, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer tc.Close()
	id, wf, params, err := what(cfg, arg)
	if err != nil {
		return fail(exitUsage, err, "add it to "+c.configPath+", or name another (triplicate run --help)")
	}
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: workflows.TaskQueue(cfg.Host),
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		// Else the SDK gives the run that is there as if it had started it.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		StaticSummary:                            "started by hand",
		TypedSearchAttributes:                    temporal.NewSearchAttributes(workflows.AttrHost.ValueSet(cfg.Host)),
	}, wf, params)
	var running *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &running) {
		return fail(exitBusy, fmt.Errorf("%s is running already", id), "triplicate follow "+id)
	}
	if err != nil {
		return fail(exitUnreachable, fmt.Errorf("start %s: %w", id, err), serverNext)
	}
	if !c.json {
		fmt.Fprintf(c.out, "started %s\n", id)
		if url := app.WebURL(cfg, id); url != "" {
			fmt.Fprintf(c.out, "read it at %s\n", url)
		}
	}
	if !wait {
		if c.json {
			return c.printJSON(map[string]string{"workflowId": id, "runId": run.GetRunID()})
		}
		return nil
	}
	return c.follow(ctx, tc, cfg, run)
}
