package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"triplicate"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
)

func (c *cli) initCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "write a config to begin with, from the pools of this machine",
		Long: `Write a commented config to begin with, from the pools and datasets of this machine,
its name and its time zone. Each pool and each dataset directly below one gets a row
with a suggestion; what another tool copies to is disabled. Proxmox, replicas and offsite
are there as comments. It is printed, or written to --output, never over a file that
exists.`,
		Example: `  triplicate init
  triplicate init --output /etc/triplicate/triplicate.yaml && triplicate check`,
		Args: takes(0, 0, ""),
		RunE: func(cc *cobra.Command, _ []string) error {
			text, datasets, err := c.sample(cc.Context())
			if err != nil {
				return err
			}
			if output == "" {
				if c.json {
					return c.printJSON(map[string]any{"config": text, "datasets": datasets})
				}
				_, err := fmt.Fprint(c.out, text)
				return err
			}
			switch err := writeNew(output, text); {
			case errors.Is(err, fs.ErrNotExist):
				return fail(exitFailed, err, "mkdir -p "+filepath.Dir(output))
			case err != nil:
				return fail(exitFailed, err, "name another --output; without it the config is printed")
			}
			if c.json {
				return c.printJSON(map[string]any{"written": output, "datasets": datasets})
			}
			_, err = fmt.Fprintf(c.out, "%s has rows for %d datasets; look at it, then: triplicate check --config %[1]s\n", output, datasets)
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "write to a new `file` instead of printing")
	_ = cmd.MarkFlagFilename("output", "yaml")
	return cmd
}

// sample is the config's text, and how many datasets have a row in it.
func (c *cli) sample(ctx context.Context) (text string, datasets int, err error) {
	none := config.Default()
	zfs := c.pools(&none).ZFS
	pools, err := zfs.Pools(ctx)
	if err != nil {
		return "", 0, fail(exitUnreachable, fmt.Errorf("look for pools: %w", err), "install OpenZFS, or load its module (modprobe zfs), and be root")
	}
	if len(pools) == 0 {
		return "", 0, fail(exitFailed, errors.New("no pool is imported"), "zpool import lists those that could be; zpool create makes one")
	}
	all, err := zfs.Datasets(ctx)
	if err != nil {
		return "", 0, fail(exitUnreachable, fmt.Errorf("look for datasets: %w", err), "zpool status says which pool is in trouble")
	}
	var names []string
	for _, p := range pools {
		names = append(names, p.Name)
	}
	snaps, _, err := zfs.Points(ctx, names...)
	if err != nil {
		return "", 0, fail(exitUnreachable, fmt.Errorf("look for snapshots: %w", err), "zpool status says which pool is in trouble")
	}
	host, err := c.hostname()
	if err != nil {
		return "", 0, fail(exitFailed, fmt.Errorf("name of this machine: %w", err), "set one: hostnamectl hostname NAME")
	}
	text = config.Sample(host, c.zone(), pools, all, backup.LineageOf(snaps))
	cfg, err := config.Load(strings.NewReader(text), "the new config")
	if err != nil {
		return "", 0, fail(exitFailed, fmt.Errorf("what was made of these pools does not load, which is a bug: %w", err), "write the config by hand, from triplicate.example.yaml")
	}
	return text, len(cfg.Snapshots), nil
}

// writeNew writes a file that does not exist yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists and is left as it is", path)
	case err != nil:
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

// hostname is this machine's, or a test's.
func (c *cli) hostname() (string, error) {
	if c.system != nil {
		return c.system.host, nil
	}
	return os.Hostname()
}

// zone is this machine's, or a test's.
func (c *cli) zone() string {
	if c.system != nil {
		return c.system.zone
	}
	return app.SystemZone()
}

// system is a machine's name and time zone.
type system struct{ host, zone string }

func (c *cli) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of the config, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the config. Beside a config whose first line
is "# yaml-language-server: $schema=triplicate.schema.json" it lets an editor complete
keys, show what they mean, and underline what is wrong. triplicate check knows more.`,
		Example: "  triplicate schema > /etc/triplicate/triplicate.schema.json",
		Args:    takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := c.out.Write(triplicate.Schema)
			return err
		},
	}
}
