package backup

import (
	"slices"
	"strings"
)

const (
	baseTag = "triplicate-base-"
	stepTag = "triplicate-step-"
)

// HoldTag is on a replica's last received snapshot, the base of the next send.
func HoldTag(replica string) string { return baseTag + replica }

// StepTag is on a source snapshot while a step sends it, and no longer: a hold
// left on a source makes `qm destroy` fail.
func StepTag(replica string) string { return stepTag + replica }

// IsHoldTag says whether a tag is some replica's HoldTag, be it renamed or gone.
func IsHoldTag(tag string) bool { return strings.HasPrefix(tag, baseTag) }

// IsStepTag says whether a tag is some replica's StepTag, be it renamed or gone.
func IsStepTag(tag string) bool { return strings.HasPrefix(tag, stepTag) }

// MayBeHeld are the snapshots of a source that a step may have left held. A step
// makes a bookmark before it holds, and the bookmark goes only after the hold; so
// these are the few that have one, whatever prefix and replica it is named for.
func MayBeHeld(snaps []Snapshot, marks []Bookmark) []Snapshot {
	marked := map[string]map[GUID]bool{}
	for _, b := range marks {
		stamp := b.Name[strings.LastIndexByte(b.Name, '-')+1:]
		if _, err := Stamp(stamp).Time(); err != nil {
			continue
		}
		if marked[b.Dataset] == nil {
			marked[b.Dataset] = map[GUID]bool{}
		}
		marked[b.Dataset][b.GUID] = true
	}
	var few []Snapshot
	for _, s := range snaps {
		if marked[s.Dataset][s.GUID] {
			few = append(few, s)
		}
	}
	return few
}

// Upkeep is what a replica's dataset that is up to date needs beside its data, as
// far as the fast listing tells.
type Upkeep struct {
	Last     Snapshot   // the target's newest: the base of the next send
	Ours     bool       // Last has our name, so it gets our mark
	Bookmark *Snapshot  // of the source: it lacks the bookmark that keeps the chain
	Stale    []Bookmark // of the source: no send needs them any more
	Remark   bool       // the target's PropSource is not that of the source
	Look     []Snapshot // Last, and those of the source that may be held: their facts tell the rest
}

// PlanUpkeep looks for what is left to do. The target must have a snapshot.
func PlanUpkeep(in SendInput) Upkeep {
	u := Upkeep{Last: slices.MaxFunc(in.Received, ByCreateTXG)}
	_, u.Ours = StampIn(in.Prefix, u.Last.Name)
	for i, s := range in.Snaps {
		stamp, ours := StampIn(in.Prefix, s.Name)
		name := BookmarkName(in.Prefix, in.Replica.Name, stamp)
		if ours && s.GUID == u.Last.GUID &&
			!slices.ContainsFunc(in.Marks, func(b Bookmark) bool { return b.Name == name && b.GUID == s.GUID }) {
			u.Bookmark = &in.Snaps[i]
		}
	}
	// A bookmark for each received snapshot stays, so that the chain survives if
	// somebody destroys the replica's newest.
	keep := make([]GUID, len(in.Received))
	for i, r := range in.Received {
		keep[i] = r.GUID
	}
	u.Stale = StaleBookmarks(in.Prefix, in.Replica.Name, in.Marks, keep...)
	mark := in.Target.Properties[PropSource]
	u.Remark = !mark.Local() || mark.Value != SourceMark(in.Source)
	u.Look = append([]Snapshot{u.Last}, MayBeHeld(in.Snaps, in.Marks)...)
	return u
}

// LastDone says whether the target's newest snapshot is marked and held, by the
// facts of Look. The mark comes after all else that is done on the target, so
// nothing is left to do on the older ones either.
func (u Upkeep) LastDone(facts []SnapshotFacts) bool {
	for _, f := range facts {
		if f.Dataset == u.Last.Dataset && f.GUID == u.Last.GUID {
			return f.UserRefs > 0 && (f.Properties[PropClass].Local() || !u.Ours)
		}
	}
	return false
}

// Held are those of the source's snapshots in Look that somebody holds.
func (u Upkeep) Held(facts []SnapshotFacts) []SnapshotFacts {
	var held []SnapshotFacts
	for _, f := range facts {
		if f.Dataset != u.Last.Dataset && f.UserRefs > 0 {
			held = append(held, f)
		}
	}
	return held
}

// Settled says whether nothing is left to do, by the facts of Look.
func (u Upkeep) Settled(facts []SnapshotFacts) bool {
	return u.Bookmark == nil && len(u.Stale) == 0 && !u.Remark && u.LastDone(facts) && len(u.Held(facts)) == 0
}
