package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/config"
	"triplicate/internal/zaplog"
)

// cli is what every verb has at hand.
type cli struct {
	out, errOut io.Writer
	configPath  string
	json        bool
	// pools are made from the config, or given by a test.
	pools func(*config.Config) *activities.Pools
	// copies adds Proxmox and the offsite targets; nil: app.Copies.
	copies func(*config.Config, *activities.Pools) *activities.Copies
	// isTerminal says whether out is one; nil: look.
	isTerminal func() bool
	// now is the clock; nil: the real one.
	now func() time.Time
	// system is what init sees of this machine; nil: what it is.
	system *system
	// machine changes what check sees of this machine; nil: it stays.
	machine func(activities.Machine) activities.Machine
	// begun: cobra found nothing wrong with how the verb was typed, and it runs.
	begun bool
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	return (&cli{out: out, errOut: errOut, pools: app.Pools}).run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	out := &written{to: c.out}
	c.out = out
	root := c.command()
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	c.marksBegin(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err == nil {
		return exitOK
	}
	c.json = c.json || slices.Contains(args, "--json") // also where the flags were not read
	var e exit
	switch isExit := errors.As(err, &e); {
	case out.err != nil:
		// Whatever else there is to say, what was said did not arrive.
		e = fail(exitFailed, fmt.Errorf("write the output: %w", out.err), "make room there, or write it elsewhere; what the verb does beside printing is done")
	case !isExit && !c.begun:
		// What cobra finds wrong is usage. Its suggestions come on lines of their own.
		e = fail(exitUsage, errors.New(strings.Join(strings.Fields(err.Error()), " ")), cmd.CommandPath()+" --help")
	case !isExit:
		e = fail(exitFailed, err, lookNext)
	}
	if ctx.Err() != nil {
		e.code = exitInterrupted
	}
	if e.err != nil {
		if c.json {
			_ = json.NewEncoder(c.errOut).Encode(map[string]any{"error": e.err.Error(), "exit": e.code, "next": e.next})
		} else {
			fmt.Fprintf(c.errOut, "triplicate: %v\nnext: %s\n", e.err, e.next)
		}
	}
	return e.code
}

// marksBegin lets every verb below cmd note that it runs.
func (c *cli) marksBegin(cmd *cobra.Command) {
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(cc *cobra.Command, args []string) error {
			c.begun = true
			return do(cc, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.marksBegin(sub)
	}
}

func (c *cli) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "triplicate",
		Short: "three copies, two media, one offsite, proved",
		Long: `triplicate looks at the copies of your data, says what the next run would do and
why, starts runs and follows them. The daemon triplicated does the work.`,
		Example: `  triplicate check                 is the config right, and does it fit this machine?
  triplicate status                what would survive if a disk died now?
  triplicate plan                  what would tonight do, and what would prune destroy?
  triplicate run nightly --wait    a whole night, now
  triplicate restore nvme/personal/diary --from replica --to /tmp`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&c.configPath, "config", app.ConfigPath(), "the config `file`")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON")
	root.AddCommand(c.checkCommand(), c.planCommand(), c.runCommand(), c.followCommand(), c.statusCommand(), c.snapshotsCommand(),
		c.restoreCommand(), c.schedulesCommand(), c.replayCommand(), c.ackCommand(), c.initCommand(), c.schemaCommand(), completionCommand(root), c.versionCommand())
	teachExits(root)
	return root
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: takes(0, 0, ""),
		Long:    "Print the version of this command. It reads no config and asks nobody.",
		Example: "  triplicate version --json",
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(map[string]string{"version": version})
			}
			_, err := fmt.Fprintln(c.out, "triplicate", version)
			return err
		},
	}
}

// load reads the config.
func (c *cli) load() (*config.Config, error) {
	cfg, err := config.LoadFile(c.configPath)
	if err != nil {
		return nil, fail(exitConfig, err, c.configNext(err))
	}
	return cfg, nil
}

// What to do when something cannot be looked at.
const (
	lookNext   = "triplicate check says what is wrong, and what to do"
	serverNext = "triplicate check says more; status, plan, snapshots and restore work without the server"
)

// configNext is what to do about a config that does not load.
func (c *cli) configNext(err error) string {
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong):
		return "correct the file; docs/configuration.md has every key"
	case errors.Is(err, fs.ErrNotExist):
		return "triplicate init --output " + c.configPath + " writes one; or name another with --config"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root"
	}
	return "name another with --config"
}

// loadPools reads the config and gives the steps on this machine's pools.
func (c *cli) loadPools() (*config.Config, *activities.Pools, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	return cfg, c.pools(cfg), nil
}

// loadCopies is loadPools with Proxmox and the offsite targets.
func (c *cli) loadCopies() (*config.Config, *activities.Copies, error) {
	cfg, pools, err := c.loadPools()
	if err != nil {
		return nil, nil, err
	}
	if c.copies != nil {
		return cfg, c.copies(cfg, pools), nil
	}
	copies, err := app.Copies(cfg, pools)
	if err != nil {
		return nil, nil, fail(exitConfig, err, c.configNext(err))
	}
	return cfg, copies, nil
}

// dial reads the config and connects to its Temporal server.
func (c *cli) dial(ctx context.Context) (*config.Config, client.Client, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, nil, err
	}
	tc, err := app.Dial(ctx, cfg, zaplog.New(zap.NewNop()))
	if err != nil {
		return nil, nil, fail(exitUnreachable, err, serverNext)
	}
	return cfg, tc, nil
}

// printJSON writes v, indented, as the verb's only output.
func (c *cli) printJSON(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
