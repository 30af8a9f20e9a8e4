package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
each copy is and, in parentheses, how many points there are. TOO OLD is older than two
hours where the row is hourly, than 30 hours elsewhere; - is a copy that the config does
not want. What cannot be looked at is unknown, never fine.`,
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
			n := judge(all)
			if c.json {
				if all == nil {
					all = []backup.DatasetStatus{}
				}
				err = c.printJSON(map[string]any{"datasets": all, "unsafe": n.bad + n.unknown + n.uncovered, "unknown": n.unknown})
			} else {
				err = c.printStatus(all, n)
			}
			switch {
			case err != nil:
				return err
			case n.bad > 0:
				return exit{code: exitUnprotected}
			case n.unknown+n.uncovered > 0:
				return exit{code: exitWarning}
			}
			return nil
		},
	}
}

// judged counts the datasets that are not safe, each by the worst that is known of it.
type judged struct {
	bad       int // a copy is missing, too old or damaged
	unknown   int // no copy is known to be bad, but not all could be seen
	uncovered int // all was seen and is fresh, but not everything can be copied
}

func judge(all []backup.DatasetStatus) (n judged) {
	for _, d := range all {
		has := func(states ...backup.CopyState) bool {
			return slices.ContainsFunc([]backup.Copy{d.Snapshot, d.Replica, d.Proxmox, d.Offsite}, func(x backup.Copy) bool { return slices.Contains(states, x.State) })
		}
		switch {
		case d.Safe():
		case has(backup.CopyOld, backup.CopyMissing, backup.CopyDamaged):
			n.bad++
		case has(backup.CopyUncovered) && !has(backup.CopyUnknown):
			n.uncovered++
		default:
			n.unknown++
		}
	}
	return n
}

func (c *cli) printStatus(all []backup.DatasetStatus, n judged) error {
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
	return c.verdict(len(all), n)
}

// verdict never claims of a dataset what was not seen of it.
func (c *cli) verdict(total int, n judged) (err error) {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if n.bad > 0 {
		say("%d of %d datasets lack a copy, or it is too old", n.bad, total)
	}
	if n.unknown > 0 {
		say("%d of %d datasets cannot be judged: not everything can be seen", n.unknown, total)
	}
	if n.uncovered > 0 {
		if n.bad+n.unknown == 0 {
			say("no copy of %d datasets is missing or too old", total)
		}
		say("of %d not everything is covered", n.uncovered)
	}
	switch {
	case total == 0:
		_, err = fmt.Fprintln(c.out, "no dataset has an enabled row; triplicate check says more")
	case len(said) == 0:
		_, err = fmt.Fprintln(c.out, c.paint(backup.OK, fmt.Sprintf("all copies of %d datasets are there and fresh", total)))
	default:
		_, err = fmt.Fprintln(c.out, c.paint(backup.Warning, strings.Join(said, "; ")))
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
