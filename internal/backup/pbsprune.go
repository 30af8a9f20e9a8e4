package backup

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// PBSPrune says what Proxmox Backup Server would keep of one group's backups; it
// is the server's own rule (compute_prune_info, the same in Proxmox VE), which
// differs from ours (Decide): tiers are stacked. Each tier, from hourly to yearly,
// only reaches further back than the ones before it, because a period that already
// has a kept backup is covered and takes no place of the tier.
//
// Protected backups stay and take no place. Of unfinished ones only the newest
// stays, and only while no finished backup is newer. A Keep without any tier keeps
// everything. Zone is the server's local zone. The marks are newest first; their
// order does not depend on the order of the backups.
func PBSPrune(backups []GuestBackup, keep Keep, zone *time.Location) []PruneMark {
	return PBSPruneLast(backups, 0, keep, zone)
}

// PBSPruneLast is PBSPrune with Proxmox's tier before all others, keep-last: the
// newest last backups, whatever their time. Our Keep has no such tier, but a prune
// job on the server may.
func PBSPruneLast(backups []GuestBackup, last int, keep Keep, zone *time.Location) []PruneMark {
	list := slices.Clone(backups)
	slices.SortFunc(list, newestFirst)
	p := pbsPrune{list: list, marks: make([]pbsMark, len(list)), zone: zone}
	p.unfinished()
	for _, t := range pbsTiers(last, keep) {
		p.tier(t)
	}
	out := make([]PruneMark, len(list))
	for i, b := range list {
		kept := p.marks[i] == pbsKeep || p.marks[i] == pbsPartial
		keepAll := last == 0 && keep == (Keep{})
		out[i] = PruneMark{Time: b.Time, Keep: kept || b.Protected || keepAll, Protected: b.Protected}
	}
	return out
}

// Horizon is the time of the oldest backup that the marks keep and that can be
// restored: finished, and not found damaged by verify. Zero: there is none.
func Horizon(backups []GuestBackup, marks []PruneMark) time.Time {
	kept := map[int64]bool{}
	for _, m := range marks {
		if m.Keep {
			kept[m.Time.Unix()] = true
		}
	}
	var oldest time.Time
	for _, b := range backups {
		if !kept[b.Time.Unix()] || !b.Finished || b.Verified == VerifiedFailed {
			continue
		}
		if oldest.IsZero() || b.Time.Before(oldest) {
			oldest = b.Time
		}
	}
	return oldest
}

// newestFirst orders backups by time; a group has none twice at the same second.
func newestFirst(a, b GuestBackup) int {
	return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Group, b.Group))
}

// pbsMark is what the rule has said of a backup so far.
type pbsMark int

const (
	pbsUnmarked pbsMark = iota // in the end: remove
	pbsKeep
	pbsPartial // the newest unfinished one; it covers no period
	pbsProtected
	pbsRemove
)

// pbsTier is one keep-* option: how many periods, and the name of a time's period.
// All is every period.
type pbsTier struct {
	n      int
	period func(time.Time) string
}

// pbsTiers are in the order in which Proxmox applies them. Periods are named by
// strings, as there: an hour that autumn's clocks show twice is one period (our
// own slots tell the two apart).
func pbsTiers(last int, k Keep) []pbsTier {
	layout := func(l string) func(time.Time) string {
		return func(t time.Time) string { return t.Format(l) }
	}
	return []pbsTier{
		{last, func(t time.Time) string { return fmt.Sprint(t.Unix()) }},
		{k.Hourly, layout("2006/01/02/15")},
		{k.Daily, layout("2006/01/02")},
		{k.Weekly, func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprintf("%d/%02d", year, week)
		}},
		{k.Monthly, layout("2006/01")},
		{k.Yearly, layout("2006")},
	}
}

// pbsPrune is a run of the rule: marks[i] belongs to list[i], newest first.
type pbsPrune struct {
	list  []GuestBackup
	marks []pbsMark
	zone  *time.Location
}

func (p *pbsPrune) unfinished() {
	for i, b := range p.list {
		switch {
		case b.Finished:
		case i == 0:
			p.marks[i] = pbsPartial
		default:
			p.marks[i] = pbsRemove
		}
	}
}

func (p *pbsPrune) tier(t pbsTier) {
	if t.n == 0 {
		return
	}
	covered, picked := map[string]bool{}, map[string]bool{}
	for i, b := range p.list {
		if p.marks[i] == pbsKeep {
			covered[t.period(b.Time.In(p.zone))] = true
		}
	}
	for i, b := range p.list {
		if p.marks[i] != pbsUnmarked {
			continue
		}
		if b.Protected {
			p.marks[i] = pbsProtected
			continue
		}
		id := t.period(b.Time.In(p.zone))
		switch {
		case covered[id]: // an earlier tier's; a later tier may still want it
		case picked[id]:
			p.marks[i] = pbsRemove
		case t.n != All && len(picked) >= t.n:
			return
		default:
			picked[id] = true
			p.marks[i] = pbsKeep
		}
	}
}
