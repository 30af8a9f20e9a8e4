package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/workflowservice/v1"
	"go.uber.org/zap"

	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/internal/zaplog"
)

// completionPatience bounds how long a pressed tab may take. A pool that hangs must
// not hang the operator's shell.
const completionPatience = 2 * time.Second

// completer gives what an argument or flag could be.
type completer func(ctx context.Context, cfg *config.Config) []string

// completes makes a completer one of cobra's. It never says a word but the answers,
// in time or not at all: what hangs is left behind, and ends with the process.
func (c *cli) completes(at int, what completer) cobra.CompletionFunc {
	return func(cc *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if at >= 0 && len(args) > at {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cc.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionPatience)
		defer cancel()
		answer := make(chan []string, 1)
		go func() {
			cfg, err := config.LoadFile(c.configPath)
			if err != nil {
				answer <- nil
				return
			}
			answer <- what(ctx, cfg)
		}()
		select {
		case <-ctx.Done():
			return nil, cobra.ShellCompDirectiveNoFileComp
		case found := <-answer:
			found = slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, toComplete) || slices.Contains(args, s) })
			return found, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// datasets are those of the config's pools.
func (c *cli) datasets(ctx context.Context, cfg *config.Config) (names []string) {
	pools := c.pools(cfg)
	all, _ := pools.ZFS.Datasets(ctx, pools.Roots()...)
	for _, d := range all {
		names = append(names, d.Name)
	}
	return names
}

// paths are where a path to restore begins: what is in the dataset, a shell cannot
// know.
func (c *cli) paths(ctx context.Context, cfg *config.Config) (begins []string) {
	for _, d := range c.datasets(ctx, cfg) {
		begins = append(begins, d+"/")
	}
	return begins
}

// openEnded is a completer's answer that more is typed after, without a space.
func openEnded(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cc *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		found, directive := f(cc, args, toComplete)
		return found, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// rowDatasets are those that ack retention takes.
func rowDatasets(_ context.Context, cfg *config.Config) (names []string) {
	for _, r := range cfg.Policy().Rows {
		names = append(names, r.Dataset)
	}
	return names
}

func replicaNames(_ context.Context, cfg *config.Config) (names []string) {
	for _, r := range cfg.Policy().Replicas {
		names = append(names, r.Name)
	}
	return names
}

// places are where restore can take a file from.
func places(_ context.Context, cfg *config.Config) []string {
	names := []string{string(backup.FromSnapshot), string(backup.FromReplica)}
	for _, o := range cfg.Policy().Offsite {
		names = append(names, o.Name)
	}
	return names
}

func tiers(context.Context, *config.Config) []string {
	return []string{string(backup.Bulk), string(backup.Standard), string(backup.Expedited)}
}

// runs are the workflows that go on, by ID.
func runs(ctx context.Context, cfg *config.Config) (ids []string) {
	tc, err := app.Dial(ctx, cfg, zaplog.New(zap.NewNop()))
	if err != nil {
		return nil
	}
	defer tc.Close()
	namespace, err := app.Namespace(cfg)
	if err != nil {
		return nil
	}
	page, err := tc.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: namespace, PageSize: 50,
		Query: "ExecutionStatus = 'Running' AND WorkflowType IN ('Nightly', 'Hourly')",
	})
	if err != nil {
		return nil
	}
	for _, e := range page.GetExecutions() {
		if id := e.GetExecution().GetWorkflowId(); strings.HasPrefix(id, cfg.Host+"-") {
			ids = append(ids, id)
		}
	}
	return ids
}

// completionCommand prints scripts for shells; cobra has them.
func completionCommand(root *cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "print the script that lets a shell complete",
		Long: `Print the script that lets a shell complete verbs and flags, datasets, the names of
replicas and offsite targets, and the runs that go on.`,
		Example: `  triplicate completion bash > /etc/bash_completion.d/triplicate
  triplicate completion fish > ~/.config/fish/completions/triplicate.fish`,
	}
	for shell, how := range map[string]struct {
		where string
		print func(cc *cobra.Command) error
	}{
		"bash": {"/etc/bash_completion.d/triplicate", func(cc *cobra.Command) error { return root.GenBashCompletionV2(cc.OutOrStdout(), true) }},
		"zsh":  {"/usr/local/share/zsh/site-functions/_triplicate", func(cc *cobra.Command) error { return root.GenZshCompletion(cc.OutOrStdout()) }},
		"fish": {"/etc/fish/completions/triplicate.fish", func(cc *cobra.Command) error { return root.GenFishCompletion(cc.OutOrStdout(), true) }},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: shell, Short: "the script for " + shell, Args: takes(0, 0, ""),
			Long:    "Print the script that lets " + shell + " complete. Put it where the shell looks, and start a new one.",
			Example: "  triplicate completion " + shell + " > " + how.where,
			RunE:    func(cc *cobra.Command, _ []string) error { return how.print(cc) },
		})
	}
	return needsWord(cmd)
}
