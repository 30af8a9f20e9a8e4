package backup

import (
	"testing"
	"time"
	_ "time/tzdata"
)

var zones = []string{"Europe/Vienna", "America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// wall is what zone's clocks show, as a number that orders readings.
func wall(at time.Time, z *time.Location) int64 {
	l := at.In(z)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC).Unix()
}

func eachDate(f func(Date)) {
	for d := (Date{2026, 1, 1}); d.Year <= 2036; d = d.Add(1) {
		f(d)
	}
}

// Trap 10: one night for each local date, and nothing in it out of order.
func TestOneNightPerDate(t *testing.T) {
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := smith()
			p.Zone = zone(t, name)
			p.LatestEnd = map[Stage]TimeOfDay{StageSnapshot: {2, 15}, StageProxmox: {5, 0}, StageReplicate: {6, 0}, StageOffsite: {12, 0}}
			var last time.Time
			nights, shifted := 0, 0
			eachDate(func(d Date) {
				n := NightAt(p, d)
				if !n.Start.After(last) {
					t.Fatalf("%s starts %s, the night before %s", d, n.Start, last)
				}
				if again, exact := NightOf(p, n.Start); !exact || again.Date != d {
					t.Fatalf("NightOf(%s) = %s, %v; want %s, exact", n.Start, again.Date, exact, d)
				}
				if again, exact := NightOf(p, n.Start.Add(7*time.Minute)); exact || again.Date != d {
					t.Fatalf("a trigger 7 minutes later: got %s, %v; want %s, not exact", again.Date, exact, d)
				}
				times := []time.Time{n.Stages[StageSnapshot], n.Stages[StageProxmox], n.Stages[StageReplicate], n.Stages[StageOffsite]}
				strict := true // unless a gap moved one of them
				for i, want := range []string{"01:30", "02:00", "02:30", "03:00"} {
					strict = strict && times[i].In(p.Zone).Format("15:04") == want
				}
				for i, at := range times[1:] {
					if at.Before(times[i]) || strict && !at.After(times[i]) {
						t.Fatalf("%s: stages out of order: %v", d, times)
					}
				}
				if !strict {
					shifted++
				}
				for s, end := range n.LatestEnd {
					if !end.After(n.Stages[s]) || end.Sub(n.Stages[s]) > 25*time.Hour {
						t.Fatalf("%s: %s starts %s and ends at the latest %s", d, s, n.Stages[s], end)
					}
				}
				if n.Snapshots[TimeOfDay{1, 30}] != n.Start || n.Start.Location() != time.UTC {
					t.Fatalf("%s: snapshots %v, start %s", d, n.Snapshots, n.Start)
				}
				last = n.Start
				nights++
			})
			if want := 4018; nights != want {
				t.Errorf("got %d nights, want %d", nights, want)
			}
			// One gap a year lies within 01:30-03:00 in every zone but UTC.
			if want := map[bool]int{true: 11}[name != "UTC"]; shifted != want {
				t.Errorf("%d nights have times that a gap moved, want %d", shifted, want)
			}
		})
	}
}

// Every instant belongs to one night, and time only goes on to later ones.
func TestNightOfIsMonotone(t *testing.T) {
	for _, name := range zones {
		p := smith()
		p.Zone = zone(t, name)
		last := Date{}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2029; at = at.Add(30 * time.Minute) {
			n, _ := NightOf(p, at)
			if want := DateOf(at.In(p.Zone).Add(12*time.Hour), p.Zone); at.In(p.Zone).Hour() == 11 || at.In(p.Zone).Hour() == 12 {
				if n.Date != want {
					t.Fatalf("%s: %s is in night %s, want %s: noon divides them", name, at.In(p.Zone), n.Date, want)
				}
			}
			if last != (Date{}) && n.Date != last && n.Date != last.Add(1) {
				t.Fatalf("%s: %s is in night %s, half an hour before in %s", name, at, n.Date, last)
			}
			last = n.Date
		}
	}
}

// InstantOn against a search by the minute: the first at which the clocks have
// come to the time.
func TestInstantOnAgainstSearch(t *testing.T) {
	for _, name := range append(zones, "Asia/Beirut", "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zone(t, name)
			eachDate(func(d Date) {
				noon := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, z)
				_, a := noon.Add(-36 * time.Hour).Zone()
				_, b := noon.Add(36 * time.Hour).Zone()
				if a == b && d.Day != 15 { // days near a change, and one a month
					return
				}
				at := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Add(-24 * time.Hour)
				for m := 0; m < 24*60; m += 10 {
					tod := TimeOfDay{m / 60, m % 60}
					want := time.Date(d.Year, d.Month, d.Day, tod.Hour, tod.Minute, 0, 0, time.UTC).Unix()
					for wall(at, z) < want {
						at = at.Add(time.Minute)
					}
					if got := InstantOn(d, tod, z); !got.Equal(at) {
						t.Fatalf("%s %s: got %s, want %s", d, tod, got.In(z), at.In(z))
					}
				}
			})
		})
	}
}

func TestInstantOn(t *testing.T) {
	tests := map[string]struct {
		zone string
		date Date
		at   TimeOfDay
		want string
	}{
		"gap: the first instant after it":           {"Europe/Vienna", Date{2026, 3, 29}, TimeOfDay{2, 30}, "2026-03-29T01:00:00Z"},
		"gap: its end itself":                       {"Europe/Vienna", Date{2026, 3, 29}, TimeOfDay{3, 0}, "2026-03-29T01:00:00Z"},
		"overlap: the first of two":                 {"Europe/Vienna", Date{2026, 10, 25}, TimeOfDay{2, 30}, "2026-10-25T00:30:00Z"},
		"after an overlap: the only one":            {"Europe/Vienna", Date{2026, 10, 25}, TimeOfDay{3, 0}, "2026-10-25T02:00:00Z"},
		"gap of half an hour":                       {"Australia/Lord_Howe", Date{2026, 10, 4}, TimeOfDay{2, 0}, "2026-10-03T15:30:00Z"},
		"overlap of half an hour: the first of two": {"Australia/Lord_Howe", Date{2026, 4, 5}, TimeOfDay{1, 30}, "2026-04-04T14:30:00Z"},
		"the gap of London holds 01:30":             {"Europe/London", Date{2026, 3, 29}, TimeOfDay{1, 30}, "2026-03-29T01:00:00Z"},
		"an ordinary day":                           {"America/New_York", Date{2026, 7, 1}, TimeOfDay{1, 30}, "2026-07-01T05:30:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := InstantOn(tt.date, tt.at, zone(t, tt.zone)).Format(time.RFC3339); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNightAt(t *testing.T) {
	z := zone(t, "Europe/Vienna")
	utc := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	p := Policy{
		Zone:      z,
		Rows:      []Row{{Dataset: "t", Frequency: daily(23, 15)}, {Dataset: "t/a", Frequency: daily(1, 30)}},
		Replicas:  []Replica{{Name: "r", Source: "t", Target: "x/t", At: TimeOfDay{2, 30}}},
		Offsite:   []OffsitePolicy{{Name: "o", At: TimeOfDay{3, 0}}},
		LatestEnd: map[Stage]TimeOfDay{StageOffsite: {15, 0}, StageSnapshot: {0, 30}, StageProxmox: {4, 0}},
	}
	n := NightAt(p, Date{2026, 11, 22})
	if want := utc("2026-11-21T22:15:00Z"); n.Start != want || n.Snapshots[TimeOfDay{23, 15}] != want {
		t.Errorf("an evening time: start %s, snapshots %v; want %s", n.Start, n.Snapshots, want)
	}
	if want := utc("2026-11-22T14:00:00Z"); n.LatestEnd[StageOffsite] != want {
		t.Errorf("a latest end after noon: got %s, want %s", n.LatestEnd[StageOffsite], want)
	}
	if want := utc("2026-11-21T23:30:00Z"); n.LatestEnd[StageSnapshot] != want {
		t.Errorf("a latest end past midnight: got %s, want %s", n.LatestEnd[StageSnapshot], want)
	}
	if _, ok := n.LatestEnd[StageProxmox]; ok {
		t.Error("a stage that is not configured has a latest end")
	}

	p.Rows = []Row{{Dataset: "t", Frequency: hourly}}
	n = NightAt(p, Date{2026, 11, 22})
	if want := utc("2026-11-22T01:30:00Z"); n.Stages[StageSnapshot] != want || n.Snapshots[TimeOfDay{2, 30}] != want {
		t.Errorf("replicas without daily rows: stages %v, snapshots %v; want a snapshot stage at %s", n.Stages, n.Snapshots, want)
	}
	if n := NightAt(Policy{Zone: z, Rows: p.Rows}, Date{2026, 11, 22}); !n.Start.IsZero() || len(n.Stages) > 0 {
		t.Errorf("nothing nightly: got %v", n)
	}
}

// Trap 8.
func TestStampFor(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 30, 0, 0, time.FixedZone("", 3600))
	tests := map[string]struct {
		scheduled, now time.Time
		want           Stamp
	}{
		"on time":                      {at, at.Add(3 * time.Second), "20261122T003000Z"},
		"five minutes late":            {at, at.Add(5 * time.Minute), "20261122T003000Z"},
		"later: the real instant":      {at, at.Add(5*time.Minute + time.Second), "20261122T003501Z"},
		"a clock slightly behind":      {at, at.Add(-2 * time.Minute), "20261122T003000Z"},
		"a clock far behind":           {at, at.Add(-time.Hour), "20261121T233000Z"},
		"nobody scheduled it":          {time.Time{}, at, "20261122T003000Z"},
		"fractions are cut":            {time.Time{}, at.Add(1999 * time.Millisecond), "20261122T003001Z"},
		"a backfill is not dated back": {at.AddDate(0, 0, -3), at, "20261122T003000Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := StampFor(tt.scheduled, tt.now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDate(t *testing.T) {
	d, err := ParseDate("2028-02-28")
	if err != nil || d.Add(2) != (Date{2028, 3, 1}) || d.Add(-59) != (Date{2027, 12, 31}) || d.String() != "2028-02-28" {
		t.Errorf("got %s, %v", d, err)
	}
	for _, bad := range []string{"", "2026-02-30", "22.11.2026", "2026-11-22T00:00:00Z"} {
		if _, err := ParseDate(bad); err == nil {
			t.Errorf("ParseDate(%q) is no error", bad)
		}
	}
}

// TestLastDayOfALeapYear: Time.ZoneBounds once made this loop for ever.
func TestLastDayOfALeapYear(t *testing.T) {
	for _, year := range []int{2028, 2032, 2040} {
		for _, name := range []string{"Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"} {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			got := InstantOn(Date{year, time.December, 31}, TimeOfDay{1, 30}, zone)
			if want := time.Date(year, time.December, 31, 1, 30, 0, 0, zone); !got.Equal(want) {
				t.Errorf("%d in %s: %s, want %s", year, name, got, want)
			}
		}
	}
}

// TestSpringNightHasRoom: on the night when the clocks jump over 02:00 and 02:15,
// the snapshots due at 02:00 still have their quarter of an hour.
func TestSpringNightHasRoom(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{
		Zone: zone,
		Rows: []Row{
			{Dataset: "hdd/vm", Frequency: Frequency{EachDay, TimeOfDay{1, 30}}},
			{Dataset: "hdd/backups-data", Frequency: Frequency{EachDay, TimeOfDay{2, 0}}},
		},
		Proxmox:   &ProxmoxPolicy{At: TimeOfDay{2, 0}},
		LatestEnd: map[Stage]TimeOfDay{StageSnapshot: {2, 15}, StageProxmox: {5, 0}},
	}
	for date, want := range map[Date]struct{ snapshot, proxmox string }{
		{2027, time.March, 28}:   {"03:15 CEST", "05:00 CEST"},
		{2027, time.March, 27}:   {"02:15 CET", "05:00 CET"},
		{2026, time.October, 25}: {"02:15 CEST", "05:00 CET"},
	} {
		n := NightAt(p, date)
		for stage, want := range map[Stage]string{StageSnapshot: want.snapshot, StageProxmox: want.proxmox} {
			if got := n.LatestEnd[stage].In(zone).Format("15:04 MST"); got != want {
				t.Errorf("%s: %s ends at %s at the latest, want %s", date, stage, got, want)
			}
		}
	}
}
