package backup

import "slices"

// DueSet is the datasets that are due at one time of a night.
type DueSet struct {
	At       TimeOfDay // a key of NightTimes.Snapshots
	Datasets []string  // parents first
}

// DueNightly lists what a night snapshots, a set for each time, in the night's
// order: the daily rows at their own times, and with the first set, or at the
// night's start where there is none, whatever else a replica copies. So each
// night has a point to copy even where the hourly schedule is paused. A dataset
// is in one set only, since its two names could be the same second.
//
// Where an hourly run takes the very same stamp first, its snapshot is the
// night's point.
func DueNightly(p Policy, c Coverage) []DueSet {
	var due []DueSet
	for _, t := range p.DailyTimes() {
		due = append(due, DueSet{At: t, Datasets: c.DueDaily(t)})
	}
	if start, ok := p.NightStart(); ok && len(due) == 0 {
		due = append(due, DueSet{At: start})
	}
	for _, r := range p.Replicas {
		for _, d := range c.Sources(r) {
			daily := d.Row != nil && d.Row.Frequency.Kind == EachDay
			if d.Snapshotted() && !daily && !slices.Contains(due[0].Datasets, d.Dataset.Name) {
				due[0].Datasets = append(due[0].Datasets, d.Dataset.Name)
			}
		}
	}
	due = slices.DeleteFunc(due, func(d DueSet) bool { return len(d.Datasets) == 0 })
	for _, d := range due {
		slices.SortFunc(d.Datasets, parentsFirst)
	}
	return due
}

// Orphans lists the datasets of a replica whose source is gone. They are kept:
// nothing here destroys a dataset, and they may be all that is left of it.
func Orphans(r Replica, c Coverage) []string {
	there := map[string]bool{}
	for _, d := range c.Datasets {
		there[d.Dataset.Name] = true
	}
	var names []string
	for _, d := range c.Datasets {
		if Under(d.Dataset.Name, r.Target) && !there[r.SourceOf(d.Dataset.Name)] {
			names = append(names, d.Dataset.Name)
		}
	}
	return names
}
