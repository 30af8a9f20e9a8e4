package schedules_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same clocks on every machine, if it has none of its own

	"github.com/google/go-cmp/cmp"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/server/service/worker/scheduler"
	"google.golang.org/protobuf/proto"

	"triplicate/internal/backup"
	"triplicate/schedules"
)

// matcher is Temporal's own, from the server that we embed.
func matcher(t testing.TB, spec *schedulepb.ScheduleSpec) *scheduler.CompiledSpec {
	t.Helper()
	unlimited := func() int { return 0 }
	compiled, err := scheduler.NewSpecBuilder(unlimited, unlimited).NewCompiledSpec(spec)
	if err != nil {
		t.Fatalf("Temporal refuses the spec: %v", err)
	}
	return compiled
}

func next(t testing.TB, m *scheduler.CompiledSpec, after time.Time) time.Time {
	t.Helper()
	res, err := m.GetNextTime("", after)
	if err != nil {
		t.Fatal(err)
	}
	return res.Nominal
}

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func every(minutes int) []backup.TimeOfDay {
	var times []backup.TimeOfDay
	for m := 0; m < 24*60; m += minutes {
		times = append(times, backup.TimeOfDay{Hour: m / 60, Minute: m % 60})
	}
	return times
}

// instantOn says what a night's instant is without calling backup.InstantOn: it
// walks through real time minute by minute and reads the clock.
func instantOn(d backup.Date, at backup.TimeOfDay, zone *time.Location) time.Time {
	utc := time.Date(d.Year, d.Month, d.Day, at.Hour, at.Minute, 0, 0, time.UTC)
	reads := func(t time.Time) int64 { // the clock's face as a number
		w := t.In(zone)
		return time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), 0, 0, time.UTC).Unix()
	}
	// The first minute at which the clock shows the time, or, coming from before
	// it, something later.
	for t := utc.Add(-27 * time.Hour); ; t = t.Add(time.Minute) {
		if reads(t) == utc.Unix() || reads(t) > utc.Unix() && reads(t.Add(-time.Minute)) < utc.Unix() {
			return t
		}
	}
}

// nextChange is the first instant after t, before until, at which zone's clocks
// show something else than they would have.
func nextChange(zone *time.Location, t, until time.Time) (time.Time, bool) {
	_, offset := t.In(zone).Zone()
	for ; t.Before(until); t = t.Add(6 * time.Hour) {
		if _, o := t.Add(6 * time.Hour).In(zone).Zone(); o == offset {
			continue
		}
		for {
			t = t.Add(time.Minute)
			if _, o := t.In(zone).Zone(); o != offset {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// calm says whether zone's clocks do not change within two days of d.
func calm(d backup.Date, zone *time.Location) bool {
	noon := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC)
	_, changes := nextChange(zone, noon.Add(-48*time.Hour), noon.Add(48*time.Hour))
	return !changes
}

// expect checks every night from first to last: the spec fires at its instant,
// and at nothing between it and the one before.
func expect(t *testing.T, zone *time.Location, at backup.TimeOfDay, spec *schedulepb.ScheduleSpec, first, last backup.Date) {
	t.Helper()
	m := matcher(t, spec)
	fired := backup.InstantOn(first.Add(-1), at, zone)
	for d := first; d != last.Add(1); d = d.Add(1) {
		want := backup.InstantOn(d, at, zone)
		if !calm(d, zone) {
			if slow := instantOn(d, at, zone); !slow.Equal(want) {
				t.Fatalf("%s %s in %s: backup.InstantOn is %s, the clock says %s", d, at, zone, want.UTC(), slow.UTC())
			}
		}
		got := next(t, m, fired)
		if !got.Equal(want) {
			t.Fatalf("%s %s in %s: fires at %s (%s), want %s (%s)", d, at, zone, got.UTC(), got.In(zone), want.UTC(), want.In(zone))
		}
		fired = got
	}
}

// probe asks for the next night from instants all around each change of the
// clocks: a schedule may be made, updated or caught up at any time.
func probe(t *testing.T, zone *time.Location, at backup.TimeOfDay, spec *schedulepb.ScheduleSpec, from, until time.Time, step time.Duration) {
	t.Helper()
	m := matcher(t, spec)
	for change, ok := nextChange(zone, from, until); ok; change, ok = nextChange(zone, change, until) {
		for after := change.Add(-26 * time.Hour); after.Before(change.Add(26 * time.Hour)); after = after.Add(step) {
			d := backup.DateOf(after, zone).Add(-1)
			for !backup.InstantOn(d, at, zone).After(after) {
				d = d.Add(1)
			}
			want := backup.InstantOn(d, at, zone)
			if got := next(t, m, after); !got.Equal(want) {
				t.Fatalf("%s in %s, asked at %s: fires at %s, want %s", at, zone, after.In(zone), got.In(zone), want.In(zone))
			}
		}
	}
}

func date(y int, m time.Month, d int) backup.Date { return backup.Date{Year: y, Month: m, Day: d} }

func utc(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func TestOneNightPerDateForElevenYears(t *testing.T) {
	for _, name := range []string{"Europe/Vienna", "America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone := zoneOf(t, name)
			for _, at := range every(30) {
				// Each spec for as long as it knows the clocks, the next where it ends.
				for year := 2026; year <= 2036; year += 3 {
					spec := schedules.NightlySpec(zone, at, utc(year, 7, 1))
					expect(t, zone, at, spec, date(year, 1, 1), date(year+2, 12, 31))
					probe(t, zone, at, spec, utc(year, 1, 1), utc(year+2, 12, 31), 47*time.Minute)
				}
			}
		})
	}
}

// zones lists one zone for each way in which clocks change until 2029, of all the
// names in the IANA database (testdata/zones.txt, from Go's copy of it).
func zones(t *testing.T) []*time.Location {
	t.Helper()
	names, err := os.ReadFile("testdata/zones.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []*time.Location
	seen := map[string]bool{}
	for name := range strings.Lines(string(names)) {
		zone := zoneOf(t, strings.TrimSpace(name))
		var way strings.Builder
		at, until := utc(2026, 1, 1), utc(2029, 1, 1)
		for ok := true; ok; at, ok = nextChange(zone, at, until) {
			_, offset := at.In(zone).Zone()
			fmt.Fprintln(&way, at.UTC(), offset)
		}
		if !seen[way.String()] {
			seen[way.String()] = true
			list = append(list, zone)
		}
	}
	return list
}

func TestOneNightPerDateInEveryZone(t *testing.T) {
	all := zones(t)
	if len(all) < 50 {
		t.Fatalf("%d different zones: the list is not the database", len(all))
	}
	for _, zone := range all {
		t.Run(zone.String(), func(t *testing.T) {
			for _, at := range every(15) {
				spec := schedules.NightlySpec(zone, at, utc(2026, 11, 24))
				probe(t, zone, at, spec, utc(2026, 1, 1), utc(2028, 12, 31), 37*time.Minute)
				expect(t, zone, at, spec, date(2026, 12, 30), date(2027, 1, 3))
			}
		})
	}
}

// What NightlySpec is there for. If one of these numbers changes, Temporal's
// matcher has changed; the tests above say whether that matters to us.
func TestWhyNotAPlainCalendar(t *testing.T) {
	tests := map[string]struct {
		zone, cron string
		on         backup.Date
		want       int
	}{
		"night lost in the gap":      {"Europe/Vienna", "30 2 * * *", date(2027, 3, 28), 0},
		"night lost in New York":     {"America/New_York", "30 2 * * *", date(2027, 3, 14), 0},
		"invented second night":      {"Europe/Vienna", "30 1 * * *", date(2026, 10, 25), 2},
		"doubled night":              {"America/New_York", "30 1 * * *", date(2026, 11, 1), 2},
		"hour lost in the overlap":   {"Europe/Vienna", "0 * * * *", date(2026, 10, 25), 24},
		"hour invented on Lord Howe": {"Australia/Lord_Howe", "0 * * * *", date(2027, 4, 4), 25},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			spec := &schedulepb.ScheduleSpec{CronString: []string{tc.cron}, TimezoneName: tc.zone}
			if got := count(t, spec, zoneOf(t, tc.zone), tc.on); got != tc.want {
				t.Errorf("%q fires %d times on %s in %s, want %d", tc.cron, got, tc.on, tc.zone, tc.want)
			}
		})
	}
}

// count is how often spec fires on a date in zone.
func count(t *testing.T, spec *schedulepb.ScheduleSpec, zone *time.Location, d backup.Date) int {
	t.Helper()
	m, n := matcher(t, spec), 0
	midnight := backup.TimeOfDay{}
	end := backup.InstantOn(d.Add(1), midnight, zone)
	for at := next(t, m, backup.InstantOn(d, midnight, zone).Add(-time.Second)); at.Before(end); at = next(t, m, at) {
		n++
	}
	return n
}

func TestOneHourlyPerRealHour(t *testing.T) {
	tests := map[string]struct {
		zone string
		on   backup.Date
		want int
	}{
		"ordinary day":           {"Europe/Vienna", date(2026, 11, 24), 24},
		"23 hours":               {"Europe/Vienna", date(2027, 3, 28), 23},
		"25 hours":               {"Europe/Vienna", date(2026, 10, 25), 25},
		"23 hours in New York":   {"America/New_York", date(2027, 3, 14), 23},
		"25 hours in New York":   {"America/New_York", date(2026, 11, 1), 25},
		"23.5 hours, Lord Howe":  {"Australia/Lord_Howe", date(2026, 10, 4), 23},
		"24.5 hours, Lord Howe":  {"Australia/Lord_Howe", date(2027, 4, 4), 25},
		"25 hours from midnight": {"America/Havana", date(2026, 11, 1), 25},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := count(t, schedules.HourlySpec(), zoneOf(t, tc.zone), tc.on); got != tc.want {
				t.Errorf("%d runs on %s in %s, want %d", got, tc.on, tc.zone, tc.want)
			}
		})
	}
	m := matcher(t, schedules.HourlySpec())
	for at := utc(2026, 1, 1); at.Year() < 2037; at = at.Add(time.Hour) {
		if got := next(t, m, at.Add(-time.Second)); !got.Equal(at) {
			t.Fatalf("after %s fires at %s, want one second later", at.Add(-time.Second), got)
		}
	}
}

func TestNightlySpecChangesOnceAYear(t *testing.T) {
	zone, at := zoneOf(t, "America/New_York"), backup.TimeOfDay{Hour: 1, Minute: 30}
	january := schedules.NightlySpec(zone, at, utc(2026, 1, 1))
	december := schedules.NightlySpec(zone, at, utc(2027, 1, 1).Add(-time.Second))
	if !proto.Equal(january, december) {
		t.Error("the spec changes within a year: every sync would write it")
	}
	if proto.Equal(december, schedules.NightlySpec(zone, at, utc(2027, 1, 1))) {
		t.Error("the spec is the same next year: its horizon stands still")
	}
	expect(t, zone, at, december, date(2026, 12, 31), date(2028, 12, 31)) // two years ahead on its last day
}

// A daemon that was down for years, or a clock at its factory setting, must not
// cost nights: where the spec does not know the clocks it is the plain calendar.
func TestNightlySpecBeyondItsHorizon(t *testing.T) {
	for _, now := range []time.Time{utc(1970, 1, 1), utc(2000, 1, 1), utc(2026, 11, 24), utc(2099, 12, 31), utc(2200, 1, 1)} {
		for _, name := range []string{"America/New_York", "Europe/Vienna", "Africa/Casablanca"} {
			zone, at := zoneOf(t, name), backup.TimeOfDay{Hour: 1, Minute: 30}
			m := matcher(t, schedules.NightlySpec(zone, at, now))
			for d := date(2034, 1, 1); d != date(2036, 1, 1); d = d.Add(1) {
				if want := backup.InstantOn(d, at, zone); calm(d, zone) {
					if got := next(t, m, want.Add(-time.Second)); !got.Equal(want) {
						t.Fatalf("made in %d, %s: no night on %s", now.Year(), name, d)
					}
				}
			}
		}
	}
}

// What the Web UI lists as the schedule's specification.
func TestNightlySpecReadsWell(t *testing.T) {
	at := backup.TimeOfDay{Hour: 1, Minute: 30}
	tests := map[string]struct {
		zone string
		at   backup.TimeOfDay
		want []string
	}{
		"never in a gap or an overlap": {"Europe/Vienna", at, []string{"01:30 every day"}},
		"in a gap":                     {"America/New_York", backup.TimeOfDay{Hour: 2, Minute: 30}, []string{"02:30 every day"}},
		"in an overlap": {"America/New_York", at, []string{
			"01:30 every day of these months",
			"01:30 every day but the ones on which the clocks show it twice",
			"01:30 every day but the ones on which the clocks show it twice",
			"01:30 every day but the ones on which the clocks show it twice",
			"01:30 every day but the ones on which the clocks show it twice",
			"01:30 every day of the other months, in all other years",
		}},
		"no clock changes": {"UTC", at, []string{"01:30 every day"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range schedules.NightlySpec(zoneOf(t, tc.zone), tc.at, utc(2026, 11, 24)).StructuredCalendar {
				got = append(got, c.Comment)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
