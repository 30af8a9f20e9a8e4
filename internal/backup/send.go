package backup

import (
	"fmt"
	"slices"
	"strings"
)

// BookmarkName names the bookmark that keeps the chain of a replica alive on the
// source after the snapshot itself was pruned.
func BookmarkName(prefix, replica string, stamp Stamp) string {
	return prefix + "-" + replica + "-" + string(stamp)
}

// BookmarkOf says whether a bookmark's name is ours for replica. Bookmarks carry
// no properties, so the name and the GUID are all there is to go by.
func BookmarkOf(prefix, replica, name string) bool {
	rest, ok := strings.CutPrefix(name, prefix+"-"+replica+"-")
	if !ok {
		return false
	}
	_, err := Stamp(rest).Time()
	return err == nil
}

// HoldTag is on a replica's last received snapshot, the base of the next send.
func HoldTag(replica string) string { return "triplicate-base-" + replica }

// StepTag is on a source snapshot while a step sends it, and no longer: a hold
// left on a source makes `qm destroy` fail.
func StepTag(replica string) string { return "triplicate-step-" + replica }

// SendKind is what a send has to do.
type SendKind string

// The kinds of send.
const (
	SendNothing     SendKind = "up to date"
	SendFull        SendKind = "full"
	SendIncremental SendKind = "incremental"
	SendResume      SendKind = "resumed"
)

// SendInput is both ends of a replica's dataset, as just seen.
type SendInput struct {
	Prefix   string
	Replica  Replica
	Source   Dataset
	Target   *Dataset // nil: not there
	Snaps    []Snapshot
	Marks    []Bookmark
	Received []Snapshot // on the target
	Token    *Token     // of the target's partial receive; nil if there is none
	// TokenStale: there is a partial receive that its token cannot continue.
	TokenStale bool
}

// SendPlan is what to do about it.
type SendPlan struct {
	Kind     SendKind
	To       Snapshot
	From     *Snapshot // base, when it is still a snapshot
	FromMark *Bookmark // base, when only the bookmark is left
	Raw      bool
	// Abort the target's partial receive first: it leads nowhere.
	Abort  bool
	Reason string
}

// Newest is the newest snapshot of our pattern: the point to copy.
func Newest(prefix string, snaps []Snapshot) (Snapshot, bool) {
	var newest Snapshot
	found := false
	for _, s := range snaps {
		if _, ours := StampIn(prefix, s.Name); ours && (!found || ByCreateTXG(s, newest) > 0) {
			newest, found = s, true
		}
	}
	return newest, found
}

// SourceMark is the value of PropSource for a source dataset.
func SourceMark(source Dataset) string { return source.GUID.String() + " " + source.Name }

// PlanSend decides how to bring a replica's dataset up to date. It matches by
// GUID alone, never by name, and never overwrites: what does not fit is
// ErrDiverged with the way out in its text.
func PlanSend(in SendInput) (SendPlan, error) {
	to, ok := Newest(in.Prefix, in.Snaps)
	if !ok {
		return SendPlan{}, fmt.Errorf("%s has no %s-* snapshot to copy: %w", in.Source.Name, in.Prefix, ErrNotFound)
	}
	p := SendPlan{To: to, Raw: in.Source.Encrypted}
	if in.Target == nil {
		p.Kind, p.Reason = SendFull, "the replica does not exist yet"
		return p, nil
	}
	if err := samePair(in); err != nil {
		return p, err
	}
	if in.Token != nil || in.TokenStale {
		if resumed, ok := planResume(in, p); ok {
			return resumed, nil
		}
		p.Abort = true
		if len(in.Received) == 0 {
			// The partial receive made the dataset; aborting it takes it away again.
			p.Kind, p.Reason = SendFull, "an unusable first receive is discarded"
			return p, nil
		}
	}
	return planIncrement(in, p)
}

// samePair refuses a target that belongs to another source.
func samePair(in SendInput) error {
	mark, ok := in.Target.Properties[PropSource]
	if !ok || !mark.Local() {
		return nil // an unmarked target is judged by its snapshots' GUIDs alone
	}
	guid, name, _ := strings.Cut(mark.Value, " ")
	if guid == in.Source.GUID.String() {
		return nil // the same dataset, perhaps renamed
	}
	return fmt.Errorf("%s is the replica of dataset %s (%s), but %s is now dataset %s: it was replaced. "+
		"Keep the old copy under another name (zfs rename %s %s-old) and run again for a new full copy: %w",
		in.Target.Name, guid, name, in.Source.Name, in.Source.GUID, in.Target.Name, in.Target.Name, ErrDiverged)
}

// planResume continues a partial receive if what its token stands for is still
// a snapshot of the source and starts where the target is.
func planResume(in SendInput, p SendPlan) (SendPlan, bool) {
	t := in.Token
	if t == nil || in.TokenStale || t.Raw != p.Raw {
		return p, false
	}
	i := slices.IndexFunc(in.Snaps, func(s Snapshot) bool { return s.GUID == t.ToGUID })
	if i < 0 {
		return p, false
	}
	if len(in.Received) == 0 && t.FromGUID != 0 {
		return p, false
	}
	if n := len(in.Received); n > 0 && in.Received[n-1].GUID != t.FromGUID {
		return p, false
	}
	p.Kind, p.To = SendResume, in.Snaps[i]
	p.Reason = fmt.Sprintf("%s had already arrived", Bytes(t.Bytes))
	return p, true
}

// planIncrement finds the base: the target's newest snapshot, by GUID, among the
// source's snapshots, else among its bookmarks.
func planIncrement(in SendInput, p SendPlan) (SendPlan, error) {
	if len(in.Received) == 0 {
		return p, fmt.Errorf("%s exists and has no snapshot: it was not made by a replication. "+
			"Rename it away (zfs rename %s %s-old) and run again: %w",
			in.Target.Name, in.Target.Name, in.Target.Name, ErrDiverged)
	}
	last := slices.MaxFunc(in.Received, ByCreateTXG)
	if last.GUID == p.To.GUID {
		p.Kind, p.Reason = SendNothing, "the newest snapshot is there"
		return p, nil
	}
	p.Kind = SendIncremental
	for i, s := range in.Snaps {
		if s.GUID == last.GUID {
			p.From, p.Reason = &in.Snaps[i], "since "+s.String()
		}
	}
	if p.From == nil {
		for i, b := range in.Marks {
			if b.GUID == last.GUID {
				p.FromMark, p.Reason = &in.Marks[i], "since "+b.String()
			}
		}
	}
	if base := p.baseTXG(); base > 0 {
		if base >= p.To.CreateTXG {
			// The target is ahead of the newest point of ours: somebody copied by hand.
			p.Kind, p.Reason = SendNothing, "the replica is newer: "+last.String()
		}
		return p, nil
	}
	return p, diverged(in, last)
}

func (p SendPlan) baseTXG() uint64 {
	switch {
	case p.From != nil:
		return p.From.CreateTXG
	case p.FromMark != nil:
		return p.FromMark.CreateTXG
	}
	return 0
}

// diverged says what stands in the way, and prints the way out; it is never taken
// on a schedule.
func diverged(in SendInput, last Snapshot) error {
	for i := len(in.Received) - 1; i >= 0; i-- {
		r := in.Received[i]
		if !slices.ContainsFunc(in.Snaps, func(s Snapshot) bool { return s.GUID == r.GUID }) &&
			!slices.ContainsFunc(in.Marks, func(b Bookmark) bool { return b.GUID == r.GUID }) {
			continue
		}
		return fmt.Errorf("%s has snapshots newer than the last common one %s: the newest is %s, not one of the source's. "+
			"If they are not needed, destroy them by hand (zfs destroy %s%%%s after looking at zfs list -t snapshot %s) and run again: %w",
			in.Target.Name, r, last.Name, r.Dataset+"@"+in.Received[i+1].Name, last.Name, in.Target.Name, ErrDiverged)
	}
	return fmt.Errorf("%s and %s share no snapshot or bookmark. Keep the old copy under another name "+
		"(zfs rename %s %s-old) and run again for a new full copy: %w",
		in.Source.Name, in.Target.Name, in.Target.Name, in.Target.Name, ErrDiverged)
}

// Adoptable says whether a snapshot on a replica came from this source: its GUID
// is one of the source's snapshots or bookmarks.
func Adoptable(received Snapshot, snaps []Snapshot, marks []Bookmark) bool {
	return slices.ContainsFunc(snaps, func(s Snapshot) bool { return s.GUID == received.GUID }) ||
		slices.ContainsFunc(marks, func(b Bookmark) bool { return b.GUID == received.GUID })
}

// StaleBookmarks are our bookmarks for replica that no send needs any more: all
// but the ones of the target's last snapshot and of the newest point.
func StaleBookmarks(prefix, replica string, marks []Bookmark, keep ...GUID) []Bookmark {
	var stale []Bookmark
	for _, b := range marks {
		if BookmarkOf(prefix, replica, b.Name) && !slices.Contains(keep, b.GUID) {
			stale = append(stale, b)
		}
	}
	return stale
}

// SourceProtected are the source's snapshots that prune must leave, with the
// reason: the newest point while the target does not have it, what a partial
// receive stands for, and the base while no bookmark keeps it.
func SourceProtected(prefix string, r Replica, snaps []Snapshot, marks []Bookmark, received []Snapshot, token *Token) map[GUID]string {
	keep := map[GUID]string{}
	if len(received) > 0 {
		last := slices.MaxFunc(received, ByCreateTXG)
		marked := slices.ContainsFunc(marks, func(b Bookmark) bool { return b.GUID == last.GUID })
		if !marked {
			keep[last.GUID] = "base of replica " + r.Name
		}
		if newest, ok := Newest(prefix, snaps); ok && newest.GUID != last.GUID {
			keep[newest.GUID] = "not yet on replica " + r.Name
		}
	} else if newest, ok := Newest(prefix, snaps); ok {
		keep[newest.GUID] = "not yet on replica " + r.Name
	}
	if token != nil {
		keep[token.ToGUID] = "half received by replica " + r.Name
		if token.FromGUID != 0 {
			keep[token.FromGUID] = "base of what replica " + r.Name + " half received"
		}
	}
	return keep
}

// TargetProtected is the replica's last received snapshot: the base of the next
// send. With a partial receive it is the base of that too.
func TargetProtected(r Replica, received []Snapshot) map[GUID]string {
	if len(received) == 0 {
		return nil
	}
	last := slices.MaxFunc(received, ByCreateTXG)
	return map[GUID]string{last.GUID: "base of replica " + r.Name}
}
