package backup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// history is snapshots taken at times, in that order.
func history(times ...time.Time) []Snapshot {
	var list []Snapshot
	for i, at := range times {
		list = append(list, Snapshot{
			Dataset: "tank/a", Name: SnapshotName("triplicate", StampOf(at)),
			GUID: GUID(1000 + i), CreateTXG: uint64(10 + i),
		})
	}
	return list
}

// hours lists every real hour from a to b, both included.
func hours(a, b time.Time) []time.Time {
	var list []time.Time
	for ; !a.After(b); a = a.Add(time.Hour) {
		list = append(list, a)
	}
	return list
}

func berlin(t testing.TB) (*time.Location, func(string) time.Time) {
	z := zone(t, "Europe/Berlin")
	return z, func(s string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", s, z)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
}

// kept lists the local times of what stays, with the reason for one tier if named.
func kept(z *time.Location, r KeepResult, tier string) []string {
	var list []string
	for _, d := range r.Decisions {
		if d.Keep && strings.Contains(d.Reason, tier) {
			stamp, _ := StampIn("triplicate", d.Snapshot.Name)
			at, _ := stamp.Time()
			list = append(list, at.In(z).Format("2006-01-02 15:04-07"))
		}
	}
	return list
}

func destroyed(z *time.Location, r KeepResult) []string {
	var list []string
	for _, s := range r.Destroy() {
		stamp, _ := StampIn("triplicate", s.Name)
		at, _ := stamp.Time()
		list = append(list, at.In(z).Format("2006-01-02 15:04"))
	}
	return list
}

var media = Keep{Hourly: 12, Daily: 14, Weekly: 8, Monthly: 6}

func decide(z *time.Location, snaps []Snapshot, k Keep) KeepResult {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return Decide(KeepInput{Prefix: "triplicate", Snapshots: snaps, Keep: k, Zone: z, Now: now, MassAcked: true})
}

// pruned is what is left of snaps once prune has run.
func pruned(snaps []Snapshot, r KeepResult) []Snapshot {
	gone := r.Destroy()
	return slices.DeleteFunc(slices.Clone(snaps), func(s Snapshot) bool { return slices.Contains(gone, s) })
}

func TestExampleASteadyState(t *testing.T) {
	z, at := berlin(t)
	r := decide(z, history(hours(at("2025-12-01 00:00"), at("2026-11-22 13:00"))...), media)
	want := map[string][]string{
		"hourly": nil, "daily": nil,
		"weekly": {
			"2026-10-04 23:00+02", "2026-10-11 23:00+02", "2026-10-18 23:00+02", "2026-10-25 23:00+01",
			"2026-11-01 23:00+01", "2026-11-08 23:00+01", "2026-11-15 23:00+01", "2026-11-22 13:00+01",
		},
		"monthly": {
			"2026-06-30 23:00+02", "2026-07-31 23:00+02", "2026-08-31 23:00+02",
			"2026-09-30 23:00+02", "2026-10-31 23:00+01", "2026-11-22 13:00+01",
		},
	}
	for h := 2; h <= 13; h++ {
		want["hourly"] = append(want["hourly"], fmt.Sprintf("2026-11-22 %02d:00+01", h))
	}
	for d := 9; d <= 21; d++ {
		want["daily"] = append(want["daily"], fmt.Sprintf("2026-11-%02d 23:00+01", d))
	}
	want["daily"] = append(want["daily"], "2026-11-22 13:00+01")
	for tier, times := range want {
		if diff := cmp.Diff(times, kept(z, r, tier)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tier, diff)
		}
	}
	if got := len(kept(z, r, "")); got != 36 {
		t.Errorf("kept %d, want 36", got)
	}
}

func TestExampleBOneHourLater(t *testing.T) {
	z, at := berlin(t)
	all := history(hours(at("2025-12-01 00:00"), at("2026-11-22 14:00"))...)
	before := pruned(all[:len(all)-1], decide(z, all[:len(all)-1], media))
	r := decide(z, append(before, all[len(all)-1]), media)
	if diff := cmp.Diff([]string{"2026-11-22 02:00"}, destroyed(z, r)); diff != "" {
		t.Errorf("destroyed (-want +got):\n%s", diff)
	}
	if got := len(kept(z, r, "")); got != 36 {
		t.Errorf("kept %d, want 36", got)
	}
}

func TestExamplesCAndDDaylightSaving(t *testing.T) {
	z, at := berlin(t)
	tests := map[string]struct {
		from, to string
		want     []string
	}{
		"C, the day of 25 hours": {"2026-10-20 00:00", "2026-10-25 07:00", []string{
			"2026-10-24 21:00+02", "2026-10-24 22:00+02", "2026-10-24 23:00+02", "2026-10-25 00:00+02",
			"2026-10-25 01:00+02", "2026-10-25 02:00+02", "2026-10-25 02:00+01", "2026-10-25 03:00+01",
			"2026-10-25 04:00+01", "2026-10-25 05:00+01", "2026-10-25 06:00+01", "2026-10-25 07:00+01",
		}},
		"D, the day of 23 hours": {"2027-03-20 00:00", "2027-03-28 06:00", []string{
			"2027-03-27 18:00+01", "2027-03-27 19:00+01", "2027-03-27 20:00+01", "2027-03-27 21:00+01",
			"2027-03-27 22:00+01", "2027-03-27 23:00+01", "2027-03-28 00:00+01", "2027-03-28 01:00+01",
			"2027-03-28 03:00+02", "2027-03-28 04:00+02", "2027-03-28 05:00+02", "2027-03-28 06:00+02",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := decide(z, history(hours(at(tt.from), at(tt.to))...), Keep{Hourly: 12})
			if diff := cmp.Diff(tt.want, kept(z, r, "hourly")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExampleEYearEnd(t *testing.T) {
	z, at := berlin(t)
	r := decide(z, history(hours(at("2026-12-26 00:00"), at("2027-01-03 23:00"))...), Keep{Weekly: 8, Monthly: 6, Yearly: 2})
	for tier, want := range map[string][]string{
		"weekly":  {"2026-12-27 23:00+01", "2027-01-03 23:00+01"}, // W52, and W53 over new year
		"monthly": {"2026-12-31 23:00+01", "2027-01-03 23:00+01"},
		"yearly":  {"2026-12-31 23:00+01", "2027-01-03 23:00+01"},
	} {
		if diff := cmp.Diff(want, kept(z, r, tier)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tier, diff)
		}
	}
}

func TestExampleFTwoWeeksOff(t *testing.T) {
	z, at := berlin(t)
	all := history(append(hours(at("2025-12-01 00:00"), at("2026-10-20 22:00")), at("2026-11-03 09:10"))...)
	before := pruned(all[:len(all)-1], decide(z, all[:len(all)-1], media))
	if len(before) != 35 {
		t.Errorf("%d before, want 35", len(before))
	}
	r := decide(z, append(before, all[len(all)-1]), media)
	want := []string{"2026-05-31 23:00", "2026-09-06 23:00", "2026-10-07 23:00", "2026-10-20 11:00"}
	if diff := cmp.Diff(want, destroyed(z, r)); diff != "" {
		t.Errorf("destroyed (-want +got):\n%s", diff)
	}
	if got := len(kept(z, r, "")); got != 32 {
		t.Errorf("kept %d, want 32", got)
	}
	if got := kept(z, r, "daily"); len(got) != 14 || got[0] != "2026-10-08 23:00+02" || got[13] != "2026-11-03 09:10+01" {
		t.Errorf("dailies: %v", got)
	}
}

func TestExampleGSecondRunInTheHour(t *testing.T) {
	z, at := berlin(t)
	times := hours(at("2026-11-22 00:00"), at("2026-11-22 13:00"))
	r := decide(z, history(append(times, at("2026-11-22 13:20"))...), Keep{Hourly: 12})
	if diff := cmp.Diff([]string{"2026-11-22 00:00", "2026-11-22 01:00", "2026-11-22 13:00"}, destroyed(z, r)); diff != "" {
		t.Errorf("a run at 13:20 stands for hour 13 (-want +got):\n%s", diff)
	}
	snaps := append(history(times...), Snapshot{Dataset: "tank/a", Name: "manual-1320", GUID: 9, CreateTXG: 99})
	if got := destroyed(z, decide(z, snaps, Keep{Hourly: 12})); len(got) != 2 {
		t.Errorf("with a snapshot of another class: destroyed %v, want 00:00 and 01:00", got)
	}
}

func TestExampleHLowerDaily(t *testing.T) {
	z, at := berlin(t)
	snaps := history(hours(at("2025-12-01 00:00"), at("2026-11-22 13:00"))...)
	snaps = pruned(snaps, decide(z, snaps, media))
	lower := media
	lower.Daily = 7
	if !PolicyShrinks(PolicyMark(media, z, "triplicate"), PolicyMark(lower, z, "triplicate")) {
		t.Error("lowering daily needs no acknowledgement")
	}
	var want []string
	for d := 9; d <= 14; d++ { // the 15th stays, a weekly
		want = append(want, fmt.Sprintf("2026-11-%02d 23:00", d))
	}
	if diff := cmp.Diff(want, destroyed(z, decide(z, snaps, lower))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// With keepUnreplicated at its default, 0: intermediate points may go, the base
// and the newest point may not.
func TestExampleITargetAway(t *testing.T) {
	z, at := berlin(t)
	snaps := history(hours(at("2026-10-13 02:00"), at("2026-11-22 13:00"))...)
	base := snaps[0]
	received := []Snapshot{{Dataset: "hdd/r/a", Name: base.Name, GUID: base.GUID, CreateTXG: 7}}
	r := Replica{Name: "personal"}
	in := KeepInput{
		Prefix: "triplicate", Snapshots: snaps, Keep: Keep{Hourly: 12}, Zone: z, Now: at("2026-11-22 13:01"), MassAcked: true,
		Protected: SourceProtected("triplicate", r, snaps, nil, received, nil),
	}
	got := kept(z, Decide(in), "")
	if len(got) != 13 || got[0] != "2026-10-13 02:00+02" {
		t.Errorf("without a bookmark: kept %v; want the base and 12 hours", got)
	}
	marks := []Bookmark{{Dataset: "tank/a", Name: "triplicate-personal-x", GUID: base.GUID, CreateTXG: base.CreateTXG}}
	in.Protected = SourceProtected("triplicate", r, snaps, marks, received, nil)
	if got := kept(z, Decide(in), ""); len(got) != 12 || got[0] != "2026-11-22 02:00+01" {
		t.Errorf("with the bookmark hourly 12 means 12: kept %v", got)
	}
}

func TestExampleJZoneChanged(t *testing.T) {
	z, at := berlin(t)
	if !PolicyShrinks(PolicyMark(media, z, "triplicate"), PolicyMark(media, time.UTC, "triplicate")) {
		t.Error("another zone needs no acknowledgement")
	}
	snaps := history(hours(at("2026-11-18 00:00"), at("2026-11-22 13:00"))...)
	got := kept(z, decide(time.UTC, snaps, Keep{Daily: 3}), "")
	want := []string{"2026-11-21 00:00+01", "2026-11-22 00:00+01", "2026-11-22 13:00+01"} // 23:00 UTC
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the day's last by UTC (-want +got):\n%s", diff)
	}
}

func TestExampleKForeignOnTheTarget(t *testing.T) {
	z, at := berlin(t)
	snaps := history(hours(at("2026-10-01 00:00"), at("2026-11-22 13:00"))...)
	want := destroyed(z, decide(z, snaps, Keep{Hourly: 24, Daily: 30, Weekly: 12, Monthly: 24}))
	foreign := []string{
		"autosnap_2026-11-22_daily", "triplicate", "triplicate-", "triplicate-20261122T120000", "triplicate-20261399T000000Z",
		"Triplicate-20261122T120000Z", "triplicate-x-20261122T120000Z", "triplicate-20261122T120000Z-keep", "__replicate_1_2__",
	}
	for i, n := range foreign {
		snaps = append(snaps, Snapshot{Dataset: "tank/a", Name: n, GUID: GUID(i + 1), CreateTXG: uint64(i)})
	}
	r := decide(z, snaps, Keep{Hourly: 24, Daily: 30, Weekly: 12, Monthly: 24})
	if diff := cmp.Diff(want, destroyed(z, r)); diff != "" || r.Foreign != len(foreign) {
		t.Errorf("foreign %d, want %d (-want +got):\n%s", r.Foreign, len(foreign), diff)
	}
}

func TestRefusals(t *testing.T) {
	z, at := berlin(t)
	hundred := hours(at("2026-11-18 10:00"), at("2026-11-22 13:00")) // 100 of them
	now := at("2026-11-22 13:01")
	tests := map[string]struct {
		times []time.Time
		keep  Keep
		now   time.Time
		acked bool
		want  Refusal
		gone  int
	}{
		"the clock stepped back":               {hundred[:20], Keep{Hourly: 12}, hundred[19].Add(-6 * time.Minute), false, RefuseClock, 0},
		"five minutes behind is no step":       {hundred[:20], Keep{Hourly: 12}, hundred[19].Add(-5 * time.Minute), false, RefuseNone, 8},
		"an old one dated in the future":       {[]time.Time{now.AddDate(1, 0, 0), hundred[98], hundred[99]}, Keep{Hourly: 1}, now, false, RefuseFuture, 0},
		"no tier at all":                       {hundred[:3], Keep{}, now, false, RefuseNoKeep, 0},
		"no tier, and nothing to destroy":      {hundred[:1], Keep{}, now, false, RefuseNone, 0},
		"21 of 84, a quarter exactly":          {hundred[:84], Keep{Hourly: 63}, now, false, RefuseNone, 21},
		"21 of 83, more than a quarter":        {hundred[:83], Keep{Hourly: 62}, now, false, RefuseMass, 0},
		"20 of 21, not more than 20":           {hundred[:21], Keep{Hourly: 1}, now, false, RefuseNone, 20},
		"21 of 83, acknowledged":               {hundred[:83], Keep{Hourly: 62}, now, true, RefuseNone, 21},
		"an acknowledgement heals no clock":    {hundred, Keep{Hourly: 1}, at("2026-11-22 12:00"), true, RefuseClock, 0},
		"a year of silence is no reason to go": {hundred[:12], Keep{Hourly: 12}, now.AddDate(1, 0, 0), false, RefuseNone, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := Decide(KeepInput{
				Prefix: "triplicate", Snapshots: history(tt.times...), Keep: tt.keep,
				Zone: z, Now: tt.now, MassAcked: tt.acked,
			})
			if r.Refusal != tt.want || len(r.Destroy()) != tt.gone {
				t.Errorf("got %q, %d destroyed; want %q, %d", r.Refusal, len(r.Destroy()), tt.want, tt.gone)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	z, at := berlin(t)
	snaps := history(at("2026-11-20 22:00"), at("2026-11-20 23:00"), at("2026-11-21 12:00"), at("2026-11-21 23:00"), at("2026-11-22 13:00"))
	r := Decide(KeepInput{
		Prefix: "triplicate", Snapshots: snaps, Keep: Keep{Hourly: 1, Daily: 2, Monthly: All}, Zone: z, Now: at("2026-11-22 13:01"),
		Protected: map[GUID]string{1002: "base of replica personal"},
	})
	want := []string{
		"beyond hourly 1, not the newest of its day, not the newest of its month",
		"beyond hourly 1, beyond daily 2, not the newest of its month",
		"base of replica personal",
		"daily 2/2",
		"hourly 1/1, daily 1/2, monthly 1/all, newest",
	}
	var got []string
	for _, d := range r.Decisions {
		got = append(got, d.Reason)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyShrinks(t *testing.T) {
	z := zone(t, "Europe/Vienna")
	base := Keep{Hourly: 12, Daily: 14, Monthly: All}
	mark := PolicyMark(base, z, "triplicate")
	tests := map[string]struct {
		to   string
		want bool
	}{
		"the same":           {mark, false},
		"one raised":         {PolicyMark(Keep{Hourly: 12, Daily: 15, Monthly: All}, z, "triplicate"), false},
		"a tier added":       {PolicyMark(Keep{Hourly: 12, Daily: 14, Weekly: 1, Monthly: All}, z, "triplicate"), false},
		"a number to all":    {PolicyMark(Keep{Hourly: All, Daily: 14, Monthly: All}, z, "triplicate"), false},
		"all to a number":    {PolicyMark(Keep{Hourly: 12, Daily: 14, Monthly: 999}, z, "triplicate"), true},
		"a tier removed":     {PolicyMark(Keep{Daily: 14, Monthly: All}, z, "triplicate"), true},
		"raised and lowered": {PolicyMark(Keep{Hourly: 99, Daily: 13, Monthly: All}, z, "triplicate"), true},
		"another zone":       {PolicyMark(base, time.UTC, "triplicate"), true},
		"another prefix":     {PolicyMark(base, z, "trip"), true},
		"not to be read":     {"hello", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := PolicyShrinks(mark, tt.to); got != tt.want {
				t.Errorf("%q to %q: got %v, want %v", mark, tt.to, got, tt.want)
			}
		})
	}
	if got, want := base.String(), "hourly 12, daily 14, monthly all"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Keep{}).String(), "nothing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkDecide5000(b *testing.B) {
	z, at := berlin(b)
	times := hours(at("2026-01-01 00:00"), at("2027-01-01 00:00"))
	in := KeepInput{
		Prefix: "triplicate", Snapshots: history(times[:5000]...), Zone: z, Now: times[5000],
		Keep: Keep{Hourly: 24, Daily: 14, Weekly: 8, Monthly: All, Yearly: 3},
	}
	for b.Loop() {
		Decide(in)
	}
}
