package activities

import (
	"context"
	"fmt"
	"slices"

	"triplicate/internal/backup"
)

// factsBatch is how many snapshots' slow columns are read at once: with 500
// datasets an hour's prune is one command instead of 500.
const factsBatch = 1000

// lookCloser reads the slow columns of what is about to be destroyed, a pool at a
// time, and takes out what turns out not to be ours, held, cloned or mounted. One
// such snapshot would make ZFS refuse a dataset's whole batch.
func (a *Pools) lookCloser(ctx context.Context, w World, parts []*pruning) {
	for _, pool := range a.roots() {
		var mine []*pruning
		var names []string
		for _, p := range parts {
			if backup.PoolOf(p.Dataset.Name) != pool || len(p.doomed) == 0 {
				continue
			}
			mine = append(mine, p)
			for _, s := range p.doomed {
				names = append(names, s.String())
			}
		}
		facts := map[string]backup.SnapshotFacts{}
		var failed error
		for batch := range slices.Chunk(names, factsBatch) {
			some, err := a.ZFS.Facts(ctx, batch...)
			if err != nil {
				failed = err
				break
			}
			for _, f := range some {
				facts[f.String()] = f
			}
		}
		for i, p := range mine {
			if failed == nil {
				a.surprises(w, p, facts)
				continue
			}
			if i == 0 { // the others would say the same
				p.say(backup.Failed, "nothing of "+pool+" is pruned: "+failed.Error())
			}
			p.leave()
		}
	}
}

// surprises leaves out, with a word, what must not be destroyed after all. A
// snapshot without facts is gone.
func (a *Pools) surprises(w World, p *pruning, facts map[string]backup.SnapshotFacts) {
	doomed := p.doomed
	p.doomed = nil
	for _, s := range doomed {
		f, there := facts[s.String()]
		if !there {
			continue
		}
		why := a.reprieve(w, p.Covered, s, f)
		if why == "" {
			p.doomed = append(p.doomed, s)
			continue
		}
		p.kept++
		p.items = append(p.items, Item{Name: s.String(), Outcome: backup.Skipped, Detail: "not destroyed: " + why})
	}
}

// reprieve is why a snapshot stays although retention does not keep it.
func (a *Pools) reprieve(w World, c backup.Covered, s backup.Snapshot, f backup.SnapshotFacts) string {
	class := f.Properties[backup.PropClass]
	switch {
	case f.GUID != s.GUID:
		return "the name now means another snapshot"
	case !(class.Local() && class.Value == backup.ClassPeriodic) && !a.adoptable(w, c, f.Snapshot):
		return "it has our name but not our mark"
	case f.UserRefs > 0:
		return "it is held (zfs holds " + f.String() + ")"
	case len(f.Clones) > 0:
		return fmt.Sprintf("it has clones: %v", f.Clones)
	case f.Mounted:
		return "it is mounted"
	case c.Replica == nil && skewed(a.Policy.Prefix, f):
		return "it was made more than 5 minutes off the time in its name; destroy it by hand if it is not needed"
	}
	return ""
}

// skewed: the snapshot's name and its creation disagree, so the tiers may have
// judged it wrongly. A replica's snapshots are created when they are received.
func skewed(prefix string, f backup.SnapshotFacts) bool {
	stamp, _ := backup.StampIn(prefix, f.Name)
	at, err := stamp.Time()
	return err != nil || f.Creation.Sub(at).Abs() > backup.StampTolerance
}

// adoptable: a received snapshot whose mark was lost to a crash between receive
// and set is ours if its GUID is one of its source's.
func (a *Pools) adoptable(w World, c backup.Covered, s backup.Snapshot) bool {
	if c.Replica == nil {
		return false
	}
	source := c.Replica.SourceOf(c.Dataset.Name)
	return backup.Adoptable(s, w.Snapshots[source], w.Bookmarks[source])
}
