package config

import (
	"fmt"

	"triplicate/internal/backup"
)

// timer is one thing that a stage starts by itself.
type timer struct {
	path string // of its frequency
	what string
	at   backup.TimeOfDay
}

// timers lists what each stage starts, in the order of the file.
func (c *Config) timers() map[backup.Stage][]timer {
	all := map[backup.Stage][]timer{}
	add := func(stage backup.Stage, path, what string, f backup.Frequency) {
		if f.Kind == backup.EachDay {
			all[stage] = append(all[stage], timer{path + ".frequency", what, f.At})
		}
	}
	for i, r := range c.Snapshots {
		add(backup.StageSnapshot, fmt.Sprintf("snapshots[%d]", i), "the snapshots of "+r.Dataset, r.Frequency)
	}
	if c.Proxmox != nil {
		add(backup.StageProxmox, "proxmox", "the guests' backup", c.Proxmox.Frequency)
	}
	for i, r := range c.Replicas {
		add(backup.StageReplicate, fmt.Sprintf("replicas[%d]", i), "the replica of "+r.Source, r.Frequency)
	}
	for i, o := range c.Offsite {
		add(backup.StageOffsite, fmt.Sprintf("offsite[%d]", i), "the offsite copy "+o.Name, o.Frequency)
	}
	return all
}

// nightMinute counts minutes from noon: a night runs from noon to noon.
func nightMinute(t backup.TimeOfDay) int { return (t.Minutes() + 12*60) % (24 * 60) }

func fromNightMinute(m int) backup.TimeOfDay {
	m = (m + 12*60) % (24 * 60)
	return backup.TimeOfDay{Hour: m / 60, Minute: m % 60}
}

// night checks the order of the stages: a stage never starts before the ones it
// comes after, so a time that says so would be a lie.
func (d *decoder) night(c *Config) {
	timers := c.timers()
	var last *timer // the latest of the stages before
	for _, stage := range backup.Stages() {
		var latest *timer
		for _, t := range timers[stage] {
			if !d.ok(t.path) {
				continue
			}
			if last != nil && nightMinute(t.at) < nightMinute(last.at) {
				d.fail(t.path, fault{
					message: fmt.Sprintf("%s at %s comes before %s at %s", t.what, t.at, last.what, last.at),
					fix:     fmt.Sprintf("Write %s or later, or move the other: a night runs from noon to noon as snapshot, proxmox, replicate, offsite.", last.at)})
			}
			if latest == nil || nightMinute(t.at) > nightMinute(latest.at) {
				latest = &t
			}
		}
		if latest != nil {
			last = latest
		}
	}
	d.latestEnds(c, timers)
}

func (d *decoder) latestEnds(c *Config, timers map[backup.Stage][]timer) {
	ends := c.LatestEnd.set()
	var before backup.Stage // the last stage with an end of its own
	for _, stage := range backup.Stages() {
		end := ends[stage]
		path := "latest_end." + string(stage)
		if end == nil || !d.ok(path) {
			continue
		}
		for _, t := range timers[stage] {
			if d.ok(t.path) && nightMinute(*end) <= nightMinute(t.at) {
				d.fail(path, fault{
					message: fmt.Sprintf("%s ends at %s at the latest, but %s starts at %s", stage, end, t.what, t.at),
					fix:     "Write a later time: a night runs from noon to noon."})
			}
		}
		if before != "" && nightMinute(*end) < nightMinute(*ends[before]) {
			d.fail(path, fault{
				message: fmt.Sprintf("%s ends at %s at the latest, before %s at %s", stage, end, before, ends[before]),
				fix:     fmt.Sprintf("Write %s or later: %s waits for %s until then.", ends[before], stage, before)})
		}
		before = stage
	}
}

// set is the struct by stage; nil where the file is silent.
func (l LatestEnd) set() map[backup.Stage]*backup.TimeOfDay {
	return map[backup.Stage]*backup.TimeOfDay{
		backup.StageSnapshot:  l.Snapshot,
		backup.StageProxmox:   l.Proxmox,
		backup.StageReplicate: l.Replicate,
		backup.StageOffsite:   l.Offsite,
	}
}

// allowance is how long a stage may take, in minutes, where the file is silent.
var allowance = map[backup.Stage]int{
	backup.StageSnapshot:  30,
	backup.StageProxmox:   3 * 60,
	backup.StageReplicate: 6 * 60,
	backup.StageOffsite:   8 * 60,
}

// latestEnd is the latest end of every stage: never earlier than that of the
// stage before, and never beyond the night. A stage with nothing to do ends with
// the one before it; but the snapshot stage always has the start of the night,
// when what replicas copy is snapshotted even if all rows are hourly.
func (c *Config) latestEnd() map[backup.Stage]backup.TimeOfDay {
	timers, set, stages := c.timers(), c.LatestEnd.set(), backup.Stages()
	minutes := make([]int, len(stages))
	minute := 24*60 - 1
	for _, stage := range stages {
		for _, t := range timers[stage] {
			minute = min(minute, nightMinute(t.at)+allowance[backup.StageSnapshot])
		}
	}
	for i, stage := range stages {
		for _, t := range timers[stage] {
			minute = max(minute, nightMinute(t.at)+allowance[stage])
		}
		if end := set[stage]; end != nil {
			minute = nightMinute(*end)
		}
		minute = min(minute, 24*60-1)
		minutes[i] = minute
	}
	ends := map[backup.Stage]backup.TimeOfDay{}
	for i := len(stages) - 1; i >= 0; i-- {
		// A default gives way to an end that the file sets for a later stage.
		minute = min(minute, minutes[i])
		ends[stages[i]] = fromNightMinute(minute)
	}
	return ends
}
