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

// String is 2026-11-22.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// Add moves by whole calendar days.
func (d Date) Add(days int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+days, 12, 0, 0, 0, time.UTC), time.UTC)
}

// InstantOn is the instant at which zone's clocks show t on d. Where they jump
// over it (spring), it is the first instant after the gap; where they show it
// twice (autumn), the first of the two. So every date has exactly one.
func InstantOn(d Date, t TimeOfDay, zone *time.Location) time.Time {
	wall := time.Date(d.Year, d.Month, d.Day, t.Hour, t.Minute, 0, 0, time.UTC)
	// Offsets in force around that time. A day either side is more than any
	// zone's jump.
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	var hits []time.Time
	for _, offset := range []int{before, after} {
		at := wall.Add(-time.Duration(offset) * time.Second)
		if got := at.In(zone); DateOf(got, zone) == d && got.Hour() == t.Hour && got.Minute() == t.Minute {
			hits = append(hits, at)
		}
	}
	switch {
	case len(hits) == 2 && hits[1].Before(hits[0]):
		return hits[1]
	case len(hits) > 0:
		return hits[0]
	}
	// In a gap: the transition itself lies between the two readings.
	lo := wall.Add(-time.Duration(max(before, after)) * time.Second)
	hi := wall.Add(-time.Duration(min(before, after)) * time.Second)
	_, base := lo.In(zone).Zone()
	for hi.Sub(lo) > time.Second {
		mid := lo.Add(hi.Sub(lo) / 2).Truncate(time.Second)
		if _, o := mid.In(zone).Zone(); o == base {
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
	Snapshots map[TimeOfDay]time.Time // one for each daily row's time
	Stages    map[Stage]time.Time     // when a stage may start
	LatestEnd map[Stage]time.Time     // when the next stage starts all the same
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
	at := map[Stage]TimeOfDay{}
	earliest := func(s Stage, t TimeOfDay) {
		if old, ok := at[s]; !ok || fromNoon(t) < fromNoon(old) {
			at[s] = t
		}
	}
	for _, t := range p.DailyTimes() {
		earliest(StageSnapshot, t)
	}
	if p.Proxmox != nil {
		earliest(StageProxmox, p.Proxmox.At)
	}
	for _, r := range p.Replicas {
		earliest(StageReplicate, r.At)
	}
	for _, o := range p.Offsite {
		earliest(StageOffsite, o.At)
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

// NightAt gives the instants of the night that ends on the morning of date.
func NightAt(p Policy, date Date) NightTimes {
	instant := func(t TimeOfDay) time.Time {
		d := date
		if t.Hour >= 12 {
			d = date.Add(-1)
		}
		return InstantOn(d, t, p.Zone).UTC()
	}
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
	for s, t := range p.LatestEnd {
		n.LatestEnd[s] = instant(t)
	}
	if t, ok := p.NightStart(); ok {
		n.Start = instant(t)
	}
	return n
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
