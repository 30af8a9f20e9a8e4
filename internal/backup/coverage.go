package backup

import (
	"slices"
	"strings"
)

// Covered is a dataset and what the policy says of it.
type Covered struct {
	Dataset  Dataset
	Row      *Row     // the most specific row over it; nil: under no row, or excluded
	Replica  *Replica // the replica it belongs to as a target; nil for all others
	Excluded bool     // an exclude of the row that would cover it
}

// Snapshotted says whether we take snapshots of the dataset. Replicas are never
// snapshotted by us: a snapshot of our own on a target breaks a later receive.
func (c Covered) Snapshotted() bool {
	return c.Row != nil && c.Replica == nil && c.Row.Frequency.Kind != Disabled
}

// Coverage is every dataset with its row, and the rows with no dataset.
type Coverage struct {
	Datasets []Covered
	Missing  []string // datasets named by rows and replicas that are not there
}

// Cover finds for each dataset the row that covers it. A row covers the dataset
// it names and everything below, as it is now, so a dataset made a minute ago is
// covered. The most specific row decides alone, its excludes included: an exclude
// of a wider row does not reach into a narrower one, and what a narrow row leaves
// out does not fall back to a wider one. A replica's row is only its Keep.
func Cover(p Policy, datasets []Dataset) Coverage {
	var c Coverage
	present := map[string]bool{}
	for _, d := range datasets {
		present[d.Name] = true
		c.Datasets = append(c.Datasets, cover(p, d))
	}
	missing := func(name string) {
		if !present[name] && !slices.Contains(c.Missing, name) {
			c.Missing = append(c.Missing, name)
		}
	}
	for _, r := range p.Rows {
		if r.Frequency.Kind != Disabled {
			missing(r.Dataset)
		}
	}
	for _, r := range p.Replicas {
		missing(r.Source)
	}
	return c
}

func cover(p Policy, d Dataset) Covered {
	c := Covered{Dataset: d}
	for i, r := range p.Rows {
		if Under(d.Name, r.Dataset) && (c.Row == nil || len(r.Dataset) > len(c.Row.Dataset)) {
			c.Row = &p.Rows[i]
		}
	}
	if c.Row != nil && slices.ContainsFunc(c.Row.Exclude, func(x string) bool { return Under(d.Name, x) }) {
		c.Row, c.Excluded = nil, true
	}
	for i, r := range p.Replicas {
		if Under(d.Name, r.Target) {
			c.Replica = &p.Replicas[i]
		}
	}
	return c
}

// Uncovered lists the datasets under no row and in no replica, pool roots and
// containers in between included, without the ones that an exclude names: those
// were meant.
func (c Coverage) Uncovered() []string {
	var names []string
	for _, d := range c.Datasets {
		if d.Row == nil && !d.Excluded && d.Replica == nil {
			names = append(names, d.Dataset.Name)
		}
	}
	return names
}

// Keep is the retention of the dataset's own or received snapshots. Where no row
// says it, it is empty, and nothing is ever pruned.
func (c Covered) Keep() Keep {
	if c.Row == nil {
		return Keep{}
	}
	return c.Row.Keep
}

// Unkept lists the datasets that get snapshots of ours, taken or received, but
// have no tier to keep them by, so that they pile up: for check to complain of.
func (c Coverage) Unkept() []string {
	var names []string
	for _, d := range c.Datasets {
		if (d.Snapshotted() || d.Replica != nil) && d.Keep() == (Keep{}) {
			names = append(names, d.Dataset.Name)
		}
	}
	return names
}

// DueHourly lists the datasets of the hourly rows.
func (c Coverage) DueHourly() []string {
	return c.due(func(d Covered) bool { return d.Row.Frequency.Kind == EachHour })
}

// DueDaily lists the datasets of the daily rows at one time of day.
func (c Coverage) DueDaily(at TimeOfDay) []string {
	return c.due(func(d Covered) bool { return d.Row.Frequency.Kind == EachDay && d.Row.Frequency.At == at })
}

// DueNow lists every dataset of an enabled row.
func (c Coverage) DueNow() []string { return c.due(func(Covered) bool { return true }) }

func (c Coverage) due(want func(Covered) bool) []string {
	var names []string
	for _, d := range c.Datasets {
		if d.Snapshotted() && want(d) {
			names = append(names, d.Dataset.Name)
		}
	}
	return names
}

// Sources lists the datasets that r copies, parents first, since a receive needs
// its parent: the whole subtree but for what an exclude names and r's own target.
// What another replica receives is copied on. Those that have nothing to copy
// (see Copied) are in it, for the replica to report.
func (c Coverage) Sources(r Replica) []Covered {
	var out []Covered
	for _, d := range c.Datasets {
		if Under(d.Dataset.Name, r.Source) && !Under(d.Dataset.Name, r.Target) && !d.Excluded {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b Covered) int { return parentsFirst(a.Dataset.Name, b.Dataset.Name) })
	return out
}

// Copied says whether a replica copies the dataset itself, or only what is below:
// it has a snapshot of ours, taken or received, or will get one.
func (c Covered) Copied(prefix string, snaps []Snapshot) bool {
	_, any := Newest(prefix, snaps)
	return any || c.Snapshotted()
}

// parentsFirst orders names so that a dataset is followed by what lies below it:
// plain string order would put tank-b between tank and tank/a.
func parentsFirst(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// TargetOf is where r copies source to.
func (r Replica) TargetOf(source string) string {
	return r.Target + strings.TrimPrefix(source, r.Source)
}

// SourceOf is what r copies to target.
func (r Replica) SourceOf(target string) string {
	return r.Source + strings.TrimPrefix(target, r.Target)
}
