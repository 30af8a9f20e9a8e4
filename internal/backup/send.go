package backup

import (
	"fmt"
	"path"
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

// PropContainer is on datasets that we made, empty, to hold replicas below them.
const PropContainer = "triplicate:container"

// SourceMark is the value of PropSource for a source dataset.
func SourceMark(source Dataset) string { return source.GUID.String() + " " + source.Name }

// PlanSend decides how to bring a replica's dataset up to date. It matches by
// GUID alone, never by name, and never overwrites: what does not fit is an error
// whose text ends with the way out, for the operator to take.
//
//	ErrNotFound        the source has no snapshot of ours
//	ErrDiverged        no common base, another source, another type, raw or not
//	ErrExists          the snapshot's name is taken on the target
//	ErrPartial         a partial receive that is not ours to discard
//	ErrKeyUnavailable  the target needs its key to receive
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
	if !p.Raw && in.Target.Encrypted && !in.Target.KeyLoaded {
		return p, fmt.Errorf("%s is encrypted and takes a plain stream: load its key (zfs load-key %s): %w",
			in.Target.Name, in.Target.Name, ErrKeyUnavailable)
	}
	if in.Token != nil || in.TokenStale {
		if resumed, ok := planResume(in, p); ok {
			return resumed, nil
		}
		if err := mayAbort(in); err != nil {
			return p, err
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

// wayOut is the last sentence of a divergence: the old copy moves out of every
// row's way (below a row it would be pruned like any dataset), with its history.
func wayOut(target Dataset) string {
	return fmt.Sprintf("Keep the old copy under another name (zfs rename -p %s %s) and run again for a new full copy",
		target.Name, aside(target))
}

func aside(target Dataset) string {
	return PoolOf(target.Name) + "/diverged/" + path.Base(target.Name) + "-" + target.GUID.String()
}

// samePair refuses a target that belongs to another source, or was begun in
// another way: such a chain could only go on by force.
func samePair(in SendInput) error {
	if in.Target.Type != in.Source.Type {
		return fmt.Errorf("%s is a %s, but its source %s is a %s. %s: %w",
			in.Target.Name, in.Target.Type, in.Source.Name, in.Source.Type, wayOut(*in.Target), ErrDiverged)
	}
	raw := in.Target.Properties[PropRaw]
	if raw.Local() && raw.Value != onOff(in.Source.Encrypted) {
		return fmt.Errorf("%s was first sent with raw=%s, but encryption of %s is %s now. %s: %w",
			in.Target.Name, raw.Value, in.Source.Name, onOff(in.Source.Encrypted), wayOut(*in.Target), ErrDiverged)
	}
	if in.Source.Encrypted && !in.Target.Encrypted && len(in.Received) > 0 {
		return fmt.Errorf("%s is not encrypted, but its source %s is. %s: %w",
			in.Target.Name, in.Source.Name, wayOut(*in.Target), ErrDiverged)
	}
	mark := in.Target.Properties[PropSource]
	if !mark.Local() {
		return nil // an unmarked target is judged by its snapshots' GUIDs alone
	}
	guid, name, _ := strings.Cut(mark.Value, " ")
	if guid == in.Source.GUID.String() {
		return nil // the same dataset, perhaps renamed
	}
	var accept string
	if _, ok := CommonBase(in.Snaps, in.Marks, in.Received); ok {
		// As after a restore of the source from this very replica.
		accept = fmt.Sprintf("If it was restored from this replica, say so (zfs set %s='%s' %s). Otherwise: ",
			PropSource, SourceMark(in.Source), in.Target.Name)
	}
	return fmt.Errorf("%s is the replica of dataset %s (%s), but %s is now dataset %s: it was replaced. %s%s: %w",
		in.Target.Name, guid, name, in.Source.Name, in.Source.GUID, accept, wayOut(*in.Target), ErrDiverged)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// mayAbort says whether the target's partial receive is ours to discard. With
// snapshots on the target only what half arrived is lost; without any, the whole
// dataset goes, so it must bear our mark of this source.
func mayAbort(in SendInput) error {
	mark := in.Target.Properties[PropSource]
	guid, _, _ := strings.Cut(mark.Value, " ")
	if mark.Local() && guid == in.Source.GUID.String() {
		return nil
	}
	if _, ok := CommonBase(in.Snaps, in.Marks, in.Received); ok {
		return nil // a replica of this source whose mark was lost in a crash
	}
	return fmt.Errorf("%s holds a partial receive that is not marked as ours. "+
		"Look at it, then discard it by hand (zfs receive -A %s) and run again: %w",
		in.Target.Name, in.Target.Name, ErrPartial)
}

// CommonBase is the newest snapshot on the target that the source still has as a
// snapshot or a bookmark.
func CommonBase(snaps []Snapshot, marks []Bookmark, received []Snapshot) (Snapshot, bool) {
	known := map[GUID]bool{}
	for _, s := range snaps {
		known[s.GUID] = true
	}
	for _, b := range marks {
		known[b.GUID] = true
	}
	var base Snapshot
	for _, r := range received {
		if known[r.GUID] && (base.GUID == 0 || ByCreateTXG(r, base) > 0) {
			base = r
		}
	}
	return base, base.GUID != 0
}

// planResume continues a partial receive if what its token stands for is still a
// snapshot of the source, and its base is where the target is and on the source:
// ZFS would finish whatever the token says, so the token is read, not trusted.
func planResume(in SendInput, p SendPlan) (SendPlan, bool) {
	t := in.Token
	if t == nil || in.TokenStale || t.Raw != p.Raw {
		return p, false
	}
	i := slices.IndexFunc(in.Snaps, func(s Snapshot) bool { return s.GUID == t.ToGUID })
	if i < 0 {
		return p, false
	}
	if base, ok := CommonBase(in.Snaps, in.Marks, in.Received); t.FromGUID != 0 && (!ok || base.GUID != t.FromGUID) {
		return p, false
	}
	if len(in.Received) > 0 && slices.MaxFunc(in.Received, ByCreateTXG).GUID != t.FromGUID {
		return p, false
	}
	p.Kind, p.To = SendResume, in.Snaps[i]
	p.Reason = fmt.Sprintf("%s had already arrived", Bytes(t.Bytes))
	return p, true
}

// planIncrement finds the base: the target's newest snapshot, by GUID, among the
// source's snapshots, else among its bookmarks.
func planIncrement(in SendInput, p SendPlan) (SendPlan, error) {
	if len(in.Received) == 0 && in.Target.Properties[PropContainer].Local() {
		// A receive cannot go onto an existing dataset without force, not even onto
		// our own empty one.
		return p, fmt.Errorf("%s is an empty dataset of ours, made when %s was not copied but something below it was. "+
			"Move it and the copies below it out of the way (zfs rename -p %s %s), and run again for new full copies: %w",
			in.Target.Name, in.Source.Name, in.Target.Name, aside(*in.Target), ErrDiverged)
	}
	if len(in.Received) == 0 {
		return p, fmt.Errorf("%s exists and has no snapshot: it was not made by a replication. %s: %w",
			in.Target.Name, wayOut(*in.Target), ErrDiverged)
	}
	last := slices.MaxFunc(in.Received, ByCreateTXG)
	if last.GUID == p.To.GUID {
		p.Kind, p.Reason = SendNothing, "the newest snapshot is there"
		return p, nil
	}
	if i := slices.IndexFunc(in.Received, func(r Snapshot) bool { return r.Name == p.To.Name && r.GUID != p.To.GUID }); i >= 0 {
		other := in.Received[i]
		return p, fmt.Errorf("%s has guid %s, but %s has guid %s: same name, other snapshot. "+
			"Rename the replica's (zfs rename %s %s-other) and run again: %w",
			other, other.GUID, p.To, p.To.GUID, other, other, ErrExists)
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
// on a schedule. Snapshots that somebody else made on the target since the base
// count too: ZFS takes an increment over them only while not a byte was written,
// and never a raw one.
func diverged(in SendInput, last Snapshot) error {
	base, ok := CommonBase(in.Snaps, in.Marks, in.Received)
	if !ok {
		return fmt.Errorf("%s and %s share no snapshot or bookmark. %s: %w",
			in.Source.Name, in.Target.Name, wayOut(*in.Target), ErrDiverged)
	}
	var newer []Snapshot
	for _, r := range in.Received {
		if ByCreateTXG(r, base) > 0 {
			newer = append(newer, r)
		}
	}
	first := slices.MinFunc(newer, ByCreateTXG)
	return fmt.Errorf("%s has %d snapshots newer than the last common one %s, up to %s, that are not the source's. "+
		"If they are not needed, look at what would go (zfs destroy -nv %s%%%s), destroy them by hand and run again; else: %s: %w",
		in.Target.Name, len(newer), base, last.Name, first, last.Name, wayOut(*in.Target), ErrDiverged)
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
// receive stands for, and the base while no bookmark keeps it. Points in between
// that were never copied may go.
func SourceProtected(prefix string, r Replica, snaps []Snapshot, marks []Bookmark, received []Snapshot, token *Token) map[GUID]string {
	keep := map[GUID]string{}
	if token != nil {
		keep[token.ToGUID] = "half received by replica " + r.Name
		if token.FromGUID != 0 {
			keep[token.FromGUID] = "base of what replica " + r.Name + " half received"
		}
	}
	newest, ok := Newest(prefix, snaps)
	if ok && !slices.ContainsFunc(received, func(x Snapshot) bool { return x.GUID == newest.GUID }) {
		keep[newest.GUID] = "not yet on replica " + r.Name
	}
	if base, ok := CommonBase(snaps, marks, received); ok &&
		!slices.ContainsFunc(marks, func(b Bookmark) bool { return b.GUID == base.GUID }) {
		keep[base.GUID] = "base of replica " + r.Name + ", not yet bookmarked"
	}
	return keep
}

// RefuseUnread means that a replica's partial receive needs snapshots of its source, and
// which ones could not be read just now.
const RefuseUnread Refusal = "what a replica has half received could not be read, so nothing is destroyed; the next prune looks again"

// TargetProtected is the replica's last received snapshot: the base of the next
// send. With a partial receive it is the base of that too.
func TargetProtected(r Replica, received []Snapshot) map[GUID]string {
	if len(received) == 0 {
		return nil
	}
	last := slices.MaxFunc(received, ByCreateTXG)
	return map[GUID]string{last.GUID: "base of replica " + r.Name}
}
