package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/config"
)

// thawPoll is how often a restore that waits looks whether a thaw is over.
const thawPoll = time.Minute

func (c *cli) restoreCommand() *cobra.Command {
	var from, to, at, tier string
	var days int
	var wait bool
	cmd := &cobra.Command{
		Use:   "restore PATH --from snapshot|replica|TARGET --to FOLDER",
		Short: "bring one file back from a snapshot, a replica or an offsite target",
		Long: `Bring one file back. PATH is dataset/path as it was on the source, such as
nvme/personal/diary. Nothing is ever overwritten: --to is a folder that exists or a
file that does not. It needs neither the daemon nor its database.

An offsite file in Glacier is thawed first, which takes hours: the command asks for
it and ends with status 5; run it again then, or let it --wait.`,
		Example: `  triplicate restore nvme/personal/diary --from snapshot --to /tmp
  triplicate restore nvme/personal/diary --from replica --at 2026-11-22 --to /tmp/diary.old
  triplicate restore nvme/personal/diary --from aws --to /tmp --tier Bulk --wait`,
		Args: takes(1, 1, "PATH"),

		ValidArgsFunction: openEnded(c.completes(0, c.paths)),
		RunE: func(cc *cobra.Command, args []string) error {
			cfg, copies, err := c.loadCopies()
			if err != nil {
				return err
			}
			p := activities.RestoreParams{Path: args[0], From: backup.Where(from), To: to, Tier: backup.Tier(tier), Days: days}
			if p.At, err = pointInTime(cfg, at); err != nil {
				return fail(exitUsage, err, "triplicate snapshots lists the points in time there are")
			}
			switch p.Tier {
			case backup.Bulk, backup.Standard, backup.Expedited:
			default:
				return fail(exitUsage, fmt.Errorf("--tier %s: want Bulk, Standard or Expedited", tier), "triplicate restore --help says how long each takes")
			}
			return c.restore(cc.Context(), cfg, copies, p, wait)
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "snapshot, replica, or the `name` of an offsite target")
	f.StringVar(&to, "to", "", "a `folder`, or a file that does not exist")
	f.StringVar(&at, "at", "", "the newest point not after this `time`: 2026-11-22, 2026-11-22T15:04 or a stamp")
	f.StringVar(&tier, "tier", string(backup.Standard), "of a thaw: Bulk (5-12 h), Standard (3-5 h), Expedited (minutes, dear)")
	f.IntVar(&days, "days", 3, "`days` for which a thawed copy stays")
	f.BoolVar(&wait, "wait", false, "wait for a thaw")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.RegisterFlagCompletionFunc("from", c.completes(-1, places))
	_ = cmd.RegisterFlagCompletionFunc("tier", c.completes(-1, tiers))
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// pointInTime reads --at. A date means its end, in the config's zone.
func pointInTime(cfg *config.Config, at string) (backup.Stamp, error) {
	if at == "" {
		return "", nil
	}
	if s := backup.Stamp(at); len(at) == len("20261122T013000Z") {
		if _, err := s.Time(); err == nil {
			return s, nil
		}
	}
	zone := cfg.Policy().Zone
	if t, err := time.ParseInLocation(time.DateOnly, at, zone); err == nil {
		return backup.StampOf(t.AddDate(0, 0, 1).Add(-time.Second)), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, at, zone); err == nil {
			return backup.StampOf(t), nil
		}
	}
	return "", fmt.Errorf("--at %q: want 2026-11-22, 2026-11-22T15:04 or 20261122T140400Z", at)
}

func (c *cli) restore(ctx context.Context, cfg *config.Config, copies *activities.Copies, p activities.RestoreParams, wait bool) error {
	for {
		res, err := copies.Restore(ctx, p)
		switch {
		case ctx.Err() != nil:
			return fail(exitInterrupted, errors.New("stopped; a thaw that was asked for goes on"), "run the same command again later")
		case errors.Is(err, activities.ErrNotConfigured):
			return fail(exitUsage, err, "the path begins with a dataset (triplicate status); --from is snapshot, replica, or an offsite target of the config")
		case errors.Is(err, backup.ErrElsewhere):
			return fail(exitFailed, err, c.inUnit(cfg, p))
		case errors.Is(err, backup.ErrUnreachable):
			return fail(exitUnreachable, err, "triplicate check says more; restore from another place meanwhile (--from)")
		case err != nil:
			return fail(exitFailed, err, restoreNext(err, p))
		case !res.Thawing && c.json:
			return c.printJSON(res)
		case !res.Thawing:
			_, err := fmt.Fprintf(c.out, "%s: %s from %s\n", res.File, backup.Bytes(res.Bytes), res.Source)
			return err
		case !wait && c.json:
			if err := c.printJSON(res); err != nil {
				return err
			}
			return exit{code: exitBusy}
		case !wait:
			return fail(exitBusy, fmt.Errorf("it is being thawed, which takes up to %s", res.Wait), "run the same command again then, or now with --wait")
		}
		if !c.json {
			fmt.Fprintf(c.out, "thawing, up to %s; looking again in %s\n", res.Wait, thawPoll)
		}
		select {
		case <-ctx.Done():
		case <-time.After(thawPoll):
		}
	}
}

// inUnit is the command line of a restore that has the daemon's credentials, for a
// shell. The unit has neither this environment nor this folder.
func (c *cli) inUnit(cfg *config.Config, p activities.RestoreParams) string {
	absolute := func(path string) string {
		if full, err := filepath.Abs(path); err == nil {
			path = full
		}
		return quoted(path)
	}
	line := "systemd-run --pipe --wait"
	for _, o := range cfg.Offsite {
		if o.Name == string(p.From) {
			line += fmt.Sprintf(" -p LoadCredential=%s:/etc/triplicate/%[1]s", o.Credentials.Credential)
		}
	}
	line += fmt.Sprintf(" triplicate restore %s --from %s --to %s --config %s", quoted(p.Path), quoted(string(p.From)), absolute(p.To), absolute(c.configPath))
	if p.At != "" {
		line += " --at " + quoted(string(p.At))
	}
	return line
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-:@%+=,", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// restoreNext is what to do when a restore failed.
func restoreNext(err error, p activities.RestoreParams) string {
	switch {
	case errors.Is(err, backup.ErrExists):
		return "name another --to, or move what is there away"
	case errors.Is(err, backup.ErrNotFound) && p.At != "":
		return "look at what there was when: triplicate snapshots DATASET; then name another --at"
	case errors.Is(err, backup.ErrNotFound):
		return "check how the path is spelt, or name an earlier --at (triplicate snapshots DATASET)"
	case errors.Is(err, backup.ErrForbidden):
		return "the nights' key may neither thaw nor read: give it that right for now (docs/setup.md, To restore from the bucket)"
	case errors.Is(err, backup.ErrKeyUnavailable):
		return "load the key (zfs load-key), or restore --from another place"
	}
	return "triplicate check says more; another place may have it, too (--from)"
}
