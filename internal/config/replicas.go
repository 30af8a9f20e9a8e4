package config

import (
	"fmt"

	"triplicate/internal/backup"
)

// replicas checks each replica by itself and against the others.
func (d *decoder) replicas(c *Config) {
	for i, r := range c.Replicas {
		at := fmt.Sprintf("replicas[%d]", i)
		if d.ok(at+".source", at+".target") {
			d.apart(r, at)
		}
		for j, other := range c.Replicas[:i] {
			was := fmt.Sprintf("replicas[%d]", j)
			if d.ok(at+".name", was+".name") && r.Name == other.Name {
				d.fail(at+".name", fault{message: fmt.Sprintf("%s is the name of the replica on line %d already", r.Name, d.where(was+".name").line),
					fix: "Give each replica a name of its own."})
			}
			if d.ok(at+".target", was+".target") && (backup.Under(r.Target, other.Target) || backup.Under(other.Target, r.Target)) {
				d.fail(at+".target", fault{message: fmt.Sprintf("target %s overlaps target %s on line %d", r.Target, other.Target, d.where(was+".target").line),
					fix: "Give each replica a target that is not on, above or below another's: one would overwrite the other."})
			}
		}
	}
	d.loops(c)
}

// apart demands that a replica is another thing than its source.
func (d *decoder) apart(r Replica, at string) {
	f := fault{fix: "Choose a target on another pool, such as hdd/backups-data/personal."}
	switch {
	case r.Source == r.Target:
		f.message = fmt.Sprintf("source and target are both %s", r.Source)
	case backup.Under(r.Target, r.Source):
		f.message = fmt.Sprintf("target %s is inside its source %s, so every copy would hold the copies before it", r.Target, r.Source)
	case backup.Under(r.Source, r.Target):
		f.message = fmt.Sprintf("source %s is inside its target %s, so the copy would overwrite what it is made from", r.Source, r.Target)
	case backup.PoolOf(r.Source) == backup.PoolOf(r.Target):
		f.message = fmt.Sprintf("target %s is on its source's pool, so one failure takes both", r.Target)
	default:
		return
	}
	d.fail(at+".target", f)
}

// loops refuses replicas that feed each other round and round.
func (d *decoder) loops(c *Config) {
	feeds := func(i, j int) bool {
		a, b := c.Replicas[i].Target, c.Replicas[j].Source
		return d.ok(fmt.Sprintf("replicas[%d].target", i), fmt.Sprintf("replicas[%d].source", j)) &&
			(backup.Under(a, b) || backup.Under(b, a))
	}
	for i := range c.Replicas {
		seen, todo := make([]bool, len(c.Replicas)), []int{i}
		for len(todo) > 0 {
			at := todo[0]
			todo = todo[1:]
			for next := range c.Replicas {
				if !feeds(at, next) || seen[next] {
					continue
				}
				seen[next], todo = true, append(todo, next)
			}
		}
		if seen[i] {
			d.fail(fmt.Sprintf("replicas[%d].target", i), fault{
				message: fmt.Sprintf("target %s ends up in its own source %s by way of the other replicas", c.Replicas[i].Target, c.Replicas[i].Source),
				fix:     "Break the loop: each copy would hold the copies before it."})
			return
		}
	}
}

// received demands that something is there to send, and that something says how
// long received snapshots stay.
func (d *decoder) received(c *Config) {
	if d.bad["snapshots"] || d.below("snapshots[") {
		return // what the rows cover is not known
	}
	for i, r := range c.Replicas {
		at := fmt.Sprintf("replicas[%d]", i)
		if !d.ok(at+".source", at+".target", at+".frequency") || r.Frequency.Kind == backup.Disabled {
			continue
		}
		if !c.snapshotted(r.Source) {
			d.fail(at+".source", fault{message: fmt.Sprintf("no row takes snapshots of %s, so there is nothing to send", r.Source),
				fix: "Add a row for it under snapshots, hourly or daily."})
		}
		if row, ok := c.rowOf(r.Target); !ok || row.Keep == (backup.Keep{}) {
			d.fail(at+".target", fault{message: fmt.Sprintf("no row says how long %s keeps what it receives", r.Target),
				fix: "Add a row with a keep for a dataset above it, or for the target itself with frequency: disabled."})
		}
	}
}

// rowOf is the most specific row that covers dataset.
func (c *Config) rowOf(dataset string) (Row, bool) {
	var best Row
	for _, r := range c.Snapshots {
		if backup.Under(dataset, r.Dataset) && len(r.Dataset) > len(best.Dataset) {
			best = r
		}
	}
	for _, e := range best.Exclude {
		if backup.Under(dataset, e) {
			return Row{}, false
		}
	}
	return best, best.Dataset != ""
}

// snapshotted says whether anything on or below source gets snapshots, or
// receives them as another replica's target.
func (c *Config) snapshotted(source string) bool {
	if row, ok := c.rowOf(source); ok && row.Frequency.Kind != backup.Disabled {
		return true
	}
	for _, r := range c.Snapshots {
		if backup.Under(r.Dataset, source) && r.Frequency.Kind != backup.Disabled {
			return true
		}
	}
	for _, r := range c.Replicas {
		if backup.Under(source, r.Target) || backup.Under(r.Target, source) {
			return true
		}
	}
	return false
}
