package main

import (
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"triplicate/internal/backup"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "each dataset and its copies, by looking at them now",
		Long: `Each dataset and its copies, by looking at them now: how old the newest point of
each copy is. What cannot be looked at is unknown, never fine.`,
		Example: `  triplicate status
  triplicate status --json | jq '.datasets[] | select(.offsite.state == "missing") | .dataset'`,
		Args: takes(0, 0, ""),
		RunE: func(cc *cobra.Command, _ []string) error {
			_, copies, err := c.loadCopies()
			if err != nil {
				return err
			}
			all, err := copies.Status(cc.Context())
			if err != nil {
				return fail(exitUnreachable, err, lookNext)
			}
			unsafe, unknown := 0, 0
			for _, d := range all {
				if !d.Safe() {
					unsafe++
					if onlyUnknown(d) {
						unknown++
					}
				}
			}
			if c.json {
				err = c.printJSON(map[string]any{"datasets": all, "unsafe": unsafe})
			} else {
				err = c.printStatus(all, unsafe, unknown)
			}
			switch {
			case err != nil:
				return err
			case unsafe > unknown:
				return exit{code: exitUnprotected}
			case unknown > 0:
				return exit{code: exitWarning}
			}
			return nil
		},
	}
}

// onlyUnknown: nothing is known to be wrong, but not all could be seen, or can be
// covered.
func onlyUnknown(d backup.DatasetStatus) bool {
	for _, x := range []backup.Copy{d.Snapshot, d.Replica, d.Proxmox, d.Offsite} {
		if x.State == backup.CopyOld || x.State == backup.CopyMissing || x.State == backup.CopyDamaged {
			return false
		}
	}
	return true
}

func (c *cli) printStatus(all []backup.DatasetStatus, unsafe, unknown int) error {
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "DATASET\tSNAPSHOT\tREPLICA\tPROXMOX\tOFFSITE")
	for _, d := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Dataset, cell(d.Snapshot), cell(d.Replica), cell(d.Proxmox), cell(d.Offsite))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	unseen := map[string][]string{}
	for _, d := range all {
		for _, x := range []backup.Copy{d.Snapshot, d.Replica, d.Proxmox, d.Offsite} {
			if x.Note == "" {
				continue
			}
			if x.State == backup.CopyUnknown {
				unseen[x.Note] = append(unseen[x.Note], d.Dataset)
				continue
			}
			fmt.Fprintf(c.out, "%s: %s\n", d.Dataset, x.Note)
		}
	}
	for _, note := range slices.Sorted(maps.Keys(unseen)) {
		fmt.Fprintf(c.out, "cannot be seen for %d datasets: %s\n", len(unseen[note]), note)
	}
	return c.verdict(len(all), unsafe, unknown)
}

func (c *cli) verdict(total, unsafe, unknown int) (err error) {
	switch {
	case total == 0:
		_, err = fmt.Fprintln(c.out, "no dataset has an enabled row; triplicate check says more")
	case unsafe == 0:
		_, err = fmt.Fprintln(c.out, c.paint(backup.OK, fmt.Sprintf("all copies of %d datasets are there and fresh", total)))
	default:
		line := fmt.Sprintf("%d of %d datasets lack a copy, or it is too old", unsafe-unknown, total)
		if unsafe == unknown {
			line = fmt.Sprintf("no copy of %d datasets is missing or too old", total)
		}
		if unknown > 0 {
			line += fmt.Sprintf("; of %d not everything can be seen or covered", unknown)
		}
		_, err = fmt.Fprintln(c.out, c.paint(backup.Warning, line))
	}
	return err
}

// cell is a copy in a table.
func cell(x backup.Copy) string {
	switch x.State {
	case backup.CopyFresh:
		return fmt.Sprintf("%s ago (%d)", age(x.Age), x.Points)
	case backup.CopyOld:
		return fmt.Sprintf("TOO OLD: %s ago (%d)", age(x.Age), x.Points)
	case backup.CopyMissing:
		return "MISSING"
	case backup.CopyDamaged:
		return fmt.Sprintf("DAMAGED: %s ago (%d)", age(x.Age), x.Points)
	}
	return string(x.State)
}

// age is a duration for people: minutes, hours, days.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 0))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
