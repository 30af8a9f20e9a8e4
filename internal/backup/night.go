package backup

import (
	"fmt"
	"sort"
	"time"
)

// StampTolerance is how late a run may be and still be stamped with its
// scheduled instant. Anything later gets the real one: nothing is back-dated.
const StampTolerance = 5 * time.Minute

// StampFor is the stamp of a snapshot scheduled for one instant and taken now.
func StampFor(scheduled, now time.Time) Stamp {
	if late := now.Sub(scheduled); !scheduled.IsZero() && late >= -StampTolerance && late <= StampTolerance {
		return StampOf(scheduled)
	}
	return StampOf(now)
}

// Date is a calendar day in some zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is t's calendar day in zone.
func DateOf(t time.Time, zone *time.Location) Date {
	y, m, d := t.In(zone).Date()
	return Date{y, m, d}
}

// ParseDate reads the form 2026-11-22.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("date %q: want the form 2026-11-22", s)
	}
	return DateOf(t, time.UTC), nil
}

// String is 2026-11-22.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// Add moves by whole calendar days.
func (d Date) Add(days int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+days, 12, 0, 0, 0, time.UTC), time.UTC)
}

// InstantOn is the instant, in UTC, at which zone's clocks show t on d. Where they
// jump over it (spring), it is the first instant after the gap; where they show it
// twice (autumn), the first of the two. So every date has exactly one, and a later
// t never has an earlier instant. time.Date promises neither.
//
// Time.ZoneBounds would be the way, but at the end of a leap year it answers with
// a bound that has passed already (seen for 31 December 2028 with Go's own zone
// data), so offsets are sampled instead.
func InstantOn(d Date, t TimeOfDay, zone *time.Location) time.Time {
	wall := time.Date(d.Year, d.Month, d.Day, t.Hour, t.Minute, 0, 0, time.UTC)
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No zone is a day off UTC. An offset that lasts less than the step would be
	// missed; none in the database lasts less than a day.
	const reach, step = 26 * time.Hour, 2 * time.Hour
	var first time.Time
	for at := wall.Add(-reach); at.Before(wall.Add(reach)); at = at.Add(step) {
		x := wall.Add(-offset(at))
		if x.Add(offset(x)).Equal(wall) && (first.IsZero() || x.Before(first)) {
			first = x
		}
	}
	if !first.IsZero() {
		return first
	}
	// The clocks jump over t: find the second of the jump.
	lo, hi := wall.Add(-reach), wall.Add(reach) // clocks before t, and after it
	for hi.Sub(lo) > time.Second {
		mid := lo.Add(hi.Sub(lo) / 2).Truncate(time.Second)
		if mid.Add(offset(mid)).Before(wall) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// fromNoon orders times of day within a night, which runs from noon to noon:
// 23:00 comes before 01:30.
func fromNoon(t TimeOfDay) int { return (t.Minutes() + 12*60) % (24 * 60) }

// NightTimes are the instants of one night, in UTC.
type NightTimes struct {
	Date      Date // of the night's morning
	Start     time.Time
	Snapshots map[TimeOfDay]time.Time // one for each set of DueNightly
	Stages    map[Stage]time.Time     // when a configured stage may start
	LatestEnd map[Stage]time.Time     // when the next stage starts all the same; after Stages
}

// DailyTimes lists the times of the enabled daily rows, in the night's order.
func (p Policy) DailyTimes() []TimeOfDay {
	seen := map[TimeOfDay]bool{}
	var times []TimeOfDay
	for _, r := range p.Rows {
		if r.Frequency.Kind == EachDay && !seen[r.Frequency.At] {
			seen[r.Frequency.At] = true
			times = append(times, r.Frequency.At)
		}
	}
	sort.Slice(times, func(i, j int) bool { return fromNoon(times[i]) < fromNoon(times[j]) })
	return times
}

// stageTimes is when each configured stage may start at the earliest.
func (p Policy) stageTimes() map[Stage]TimeOfDay {
	return p.timesOf(func(a, b TimeOfDay) bool { return fromNoon(a) < fromNoon(b) })
}

// lastTimes is when the last part of each configured stage is due.
func (p Policy) lastTimes() map[Stage]TimeOfDay {
	return p.timesOf(func(a, b TimeOfDay) bool { return fromNoon(a) > fromNoon(b) })
}

// timesOf picks for each stage, among the times of its parts, the one that comes
// before the others.
func (p Policy) timesOf(before func(a, b TimeOfDay) bool) map[Stage]TimeOfDay {
	at := map[Stage]TimeOfDay{}
	pick := func(s Stage, t TimeOfDay) {
		if old, ok := at[s]; !ok || before(t, old) {
			at[s] = t
		}
	}
	for _, t := range p.DailyTimes() {
		pick(StageSnapshot, t)
	}
	if p.Proxmox != nil {
		pick(StageProxmox, p.Proxmox.At)
	}
	for _, r := range p.Replicas {
		pick(StageReplicate, r.At)
	}
	for _, o := range p.Offsite {
		pick(StageOffsite, o.At)
	}
	if _, daily := at[StageSnapshot]; !daily && len(p.Replicas) > 0 {
		// No daily row, but what replicas copy is snapshotted first: see DueNightly.
		first, found := TimeOfDay{}, false
		for _, s := range Stages() {
			if t, ok := at[s]; ok && (!found || fromNoon(t) < fromNoon(first)) {
				first, found = t, true
			}
		}
		at[StageSnapshot] = first
	}
	return at
}

// NightStart is the time of day at which a night starts: that of its first
// stage. False if nothing is daily.
func (p Policy) NightStart() (TimeOfDay, bool) {
	var start TimeOfDay
	found := false
	for _, t := range p.stageTimes() {
		if !found || fromNoon(t) < fromNoon(start) {
			start, found = t, true
		}
	}
	return start, found
}

// NightAt gives the instants of the night that ends on the morning of date: times
// from 12:00 on lie on the evening before. Times that daylight saving skips fall
// together on the first instant after the gap.
//
// A latest end is the first time after its stage's start that the clocks show it,
// so 15:00 for the offsite stage is the afternoon after the night.
func NightAt(p Policy, date Date) NightTimes {
	instant := func(t TimeOfDay) time.Time { return NightTimes{Date: date}.At(t, p.Zone) }
	n := NightTimes{
		Date: date, Snapshots: map[TimeOfDay]time.Time{},
		Stages: map[Stage]time.Time{}, LatestEnd: map[Stage]time.Time{},
	}
	for _, t := range p.DailyTimes() {
		n.Snapshots[t] = instant(t)
	}
	for s, t := range p.stageTimes() {
		n.Stages[s] = instant(t)
	}
	last := p.lastTimes()
	for s, t := range p.LatestEnd {
		start, ok := n.Stages[s]
		if !ok {
			continue
		}
		n.LatestEnd[s] = firstAfter(start, t, p.Zone)
		// In the night when the clocks jump over both, 02:00 and 02:15 are one instant:
		// what is due last still has as long as on any other night.
		local := n.LatestEnd[s].In(p.Zone)
		if (TimeOfDay{local.Hour(), local.Minute()}) != t {
			room := time.Duration((t.Minutes()-last[s].Minutes()+24*60)%(24*60)) * time.Minute
			n.LatestEnd[s] = instant(last[s]).Add(room)
		}
	}
	if t, ok := p.NightStart(); ok {
		n.Start = instant(t)
		if len(n.Snapshots) == 0 && len(p.Replicas) > 0 {
			n.Snapshots[t] = n.Start
		}
	}
	return n
}

// At is the instant of a time of day in this night, in UTC.
func (n NightTimes) At(t TimeOfDay, zone *time.Location) time.Time {
	d := n.Date
	if t.Hour >= 12 {
		d = d.Add(-1)
	}
	return InstantOn(d, t, zone).UTC()
}

// firstAfter is the first instant after start at which zone's clocks show t.
func firstAfter(start time.Time, t TimeOfDay, zone *time.Location) time.Time {
	d := DateOf(start, zone)
	if at := InstantOn(d, t, zone); at.After(start) {
		return at
	}
	return InstantOn(d.Add(1), t, zone)
}

// NightOf is the night that an instant belongs to, and whether it is exactly
// that night's start, as only a schedule hits it.
func NightOf(p Policy, at time.Time) (NightTimes, bool) {
	date := DateOf(at, p.Zone)
	if at.In(p.Zone).Hour() >= 12 {
		date = date.Add(1)
	}
	n := NightAt(p, date)
	return n, n.Start.Equal(at)
}
