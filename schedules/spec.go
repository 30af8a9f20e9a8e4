package schedules

import (
	"slices"
	"sort"
	"time"

	schedulepb "go.temporal.io/api/schedule/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"triplicate/internal/backup"
)

// yearsAhead is how many whole years after the current one a nightly spec knows
// the clock changes of. Beyond them it is the plain calendar, which may lose or
// double a night; so it would take a daemon that was down for two years.
const yearsAhead = 2

// Temporal refuses calendar years outside these.
const minYear, maxYear = 2000, 2100

// HourlySpec fires at every full hour of UTC, so once per real hour on days of 23
// and of 25 hours too, which a calendar in local time does not.
func HourlySpec() *schedulepb.ScheduleSpec {
	return &schedulepb.ScheduleSpec{
		Interval: []*schedulepb.IntervalSpec{{Interval: durationpb.New(time.Hour)}},
	}
}

// NightlySpec fires once for every local date, exactly at backup.InstantOn of it:
// also where the clocks jump over at (then right after the gap) or show it twice
// (then the first time). It is the calendar "at, every day", made right on the days
// on which the clocks change, where Temporal's matcher loses, doubles and invents
// instants. Those dates are known from the start of now's year to the end of the
// second year after it, so that the spec changes once a year.
func NightlySpec(zone *time.Location, at backup.TimeOfDay, now time.Time) *schedulepb.ScheduleSpec {
	year := min(max(now.UTC().Year(), minYear+1), maxYear-yearsAhead-1)
	// The days before New Year are of use to a schedule that catches up.
	first, last := time.Date(year-1, 12, 25, 0, 0, 0, 0, time.UTC), time.Date(year+yearsAhead+1, 1, 1, 0, 0, 0, 0, time.UTC)
	dates := changes(zone, first, last)
	fires := map[backup.Date][]time.Time{} // by the date that the clocks show then
	for _, d := range dates {
		t := backup.InstantOn(d, at, zone).In(zone)
		shown := backup.DateOf(t, zone)
		fires[shown] = append(fires[shown], t)
	}

	spec := &schedulepb.ScheduleSpec{TimezoneName: zone.String()}
	var apart []backup.Date
	for _, d := range dates {
		// An exclusion could not tell the first of two equal times from the second.
		split := slices.ContainsFunc(fires[d], ambiguous)
		for _, t := range fires[d] {
			if split || unsettled(t) {
				spec.Interval = append(spec.Interval, once(t))
			}
		}
		if split {
			apart = append(apart, d)
		} else {
			spec.ExcludeStructuredCalendar = append(spec.ExcludeStructuredCalendar, except(d, fires[d])...)
		}
	}
	spec.StructuredCalendar = everyDay(at, year-1, year+yearsAhead, apart)
	return spec
}

// once is t and nothing else this century. Intervals are all that a spec has to
// name an instant rather than a time on the clock. They count from 1970, so one as
// long as the time from 1970 to t fires at t, and next as long again after it. (A
// phase would read better, but before it Temporal's matcher rounds the wrong way.)
func once(t time.Time) *schedulepb.IntervalSpec {
	return &schedulepb.IntervalSpec{Interval: durationpb.New(time.Duration(t.Unix()) * time.Second)}
}

// changes lists the dates, in order, on which zone's clocks change between two
// instants. A change at midnight counts for the dates on both sides of it. It looks
// day by day, because Time.ZoneBounds ends a leap year one day early and then
// stands still (Go 1.26, where a zone's rule has to be applied).
func changes(zone *time.Location, from, until time.Time) []backup.Date {
	var dates []backup.Date
	for day := from.In(zone); day.Before(until); day = day.Add(24 * time.Hour) {
		seconds := int(24 * time.Hour / time.Second)
		n := sort.Search(seconds, func(s int) bool {
			return offset(day.Add(time.Duration(s+1)*time.Second)) != offset(day)
		})
		if n < seconds {
			before := day.Add(time.Duration(n) * time.Second)
			dates = append(dates, backup.DateOf(before, zone), backup.DateOf(before.Add(time.Second), zone))
		}
	}
	return slices.Compact(dates)
}

// ambiguous says whether the clocks of t's zone show the same at another instant.
func ambiguous(t time.Time) bool {
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		other := t.Add(time.Duration(offset(t)-offset(t.Add(near))) * time.Second)
		if !other.Equal(t) && offset(other) == offset(t.Add(near)) {
			return true
		}
	}
	return false
}

// unsettled says whether the clocks have just changed. Then at was in the gap, or
// Temporal's matcher may overlook t when asked from within a repeated hour (seen
// where that does not end on a full hour, as on the Chatham Islands).
func unsettled(t time.Time) bool { return offset(t) != offset(t.Add(-2*time.Hour)) }

// offset is that of t's zone from UTC, in seconds.
func offset(t time.Time) int { _, o := t.Zone(); return o }
