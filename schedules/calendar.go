package schedules

import (
	"slices"
	"time"

	schedulepb "go.temporal.io/api/schedule/v1"

	"triplicate/internal/backup"
)

// everyDay is at on every day but the dates apart, which lie in the years from
// first to last. With none apart it is one line. Otherwise the months that have
// one are spelt out, for an exclusion would hit the instant that is to stay, too.
func everyDay(at backup.TimeOfDay, first, last int, apart []backup.Date) []*schedulepb.StructuredCalendarSpec {
	main := daily(at, at.String()+" every day")
	if len(apart) == 0 {
		return []*schedulepb.StructuredCalendarSpec{main}
	}
	var with [13]bool // months that have a date apart in some year
	for _, d := range apart {
		with[d.Month] = true
	}
	main.Month = ranges(1, 12, func(m int) bool { return !with[m] })
	main.Comment = at.String() + " every day of these months"

	rest := daily(at, at.String()+" every day of the other months, in all other years")
	rest.Month = ranges(1, 12, func(m int) bool { return with[m] })
	rest.Year = ranges(minYear, maxYear, func(y int) bool { return y < first || y > last })

	calendars := []*schedulepb.StructuredCalendarSpec{main}
	for y := first; y <= last; y++ {
		for m := 1; m <= 12; m++ {
			if !with[m] {
				continue
			}
			c := daily(at, at.String()+" every day but the ones on which the clocks show it twice")
			c.Year, c.Month = only(y), only(m)
			c.DayOfMonth = ranges(1, 31, func(day int) bool {
				return !slices.Contains(apart, backup.Date{Year: y, Month: time.Month(m), Day: day})
			})
			calendars = append(calendars, c)
		}
	}
	calendars = append(calendars, rest)
	return slices.DeleteFunc(calendars, func(c *schedulepb.StructuredCalendarSpec) bool { return len(c.Month) == 0 })
}

// except is every time on d but the allowed ones (as zone's clocks show them), to
// be excluded.
func except(d backup.Date, allowed []time.Time) []*schedulepb.StructuredCalendarSpec {
	comment := d.String() + ": nothing else, the clocks change"
	some := func(hour, minute []*schedulepb.Range) *schedulepb.StructuredCalendarSpec {
		return &schedulepb.StructuredCalendarSpec{
			Year: only(d.Year), Month: only(int(d.Month)), DayOfMonth: only(d.Day), DayOfWeek: ranges(0, 6, always),
			Hour: hour, Minute: minute, Second: ranges(0, 59, always),
			Comment: comment,
		}
	}
	hours := map[int][]int{}
	for _, wall := range allowed {
		hours[wall.Hour()] = append(hours[wall.Hour()], wall.Minute())
	}
	var out []*schedulepb.StructuredCalendarSpec
	out = append(out, some(ranges(0, 23, func(h int) bool { return hours[h] == nil }), ranges(0, 59, always)))
	for h := range 24 {
		if minutes := hours[h]; minutes != nil {
			other := ranges(0, 59, func(m int) bool { return !slices.Contains(minutes, m) })
			out = append(out, some(only(h), other))
		}
	}
	return out
}

// daily is at on every day. A structured calendar has no defaults in Temporal's
// matcher: an empty field matches nothing, except the year.
func daily(at backup.TimeOfDay, comment string) *schedulepb.StructuredCalendarSpec {
	return &schedulepb.StructuredCalendarSpec{
		Second: only(0), Minute: only(at.Minute), Hour: only(at.Hour),
		DayOfMonth: ranges(1, 31, always), Month: ranges(1, 12, always), DayOfWeek: ranges(0, 6, always),
		Comment: comment,
	}
}

func always(int) bool { return true }

// only and ranges spell ranges out as the server gives them back (end and step
// set), so that what it has can be compared with what is wanted.
func only(n int) []*schedulepb.Range {
	return []*schedulepb.Range{{Start: int32(n), End: int32(n), Step: 1}}
}

// ranges are the numbers from lo to hi that fit, as few ranges as possible.
func ranges(lo, hi int, fits func(int) bool) []*schedulepb.Range {
	var out []*schedulepb.Range
	for n := lo; n <= hi; n++ {
		switch {
		case !fits(n):
		case len(out) > 0 && int(out[len(out)-1].End) == n-1:
			out[len(out)-1].End = int32(n)
		default:
			out = append(out, only(n)...)
		}
	}
	return out
}
