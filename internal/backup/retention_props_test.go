package backup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// reference is the tiers said again, naively: a candidate stands for its slot if
// no later one has the slot's name, and its rank is the number of slots that
// reach beyond it. Names come from time.Format and ISOWeek, not from arithmetic.
func reference(snaps []Snapshot, k Keep, z *time.Location) map[GUID]bool {
	keep := map[GUID]bool{}
	newest := snaps[0]
	at := map[GUID]time.Time{}
	for _, s := range snaps {
		if s.CreateTXG > newest.CreateTXG {
			newest = s
		}
		at[s.GUID], _ = time.Parse("triplicate-20060102T150405Z", s.Name)
	}
	keep[newest.GUID] = true
	for n, name := range map[*int]func(time.Time) string{
		&k.Hourly:  func(t time.Time) string { return t.Format("2006-01-02 15 -07:00:00") },
		&k.Daily:   func(t time.Time) string { return t.Format(time.DateOnly) },
		&k.Weekly:  func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, "W", w) },
		&k.Monthly: func(t time.Time) string { return t.Format("2006-01") },
		&k.Yearly:  func(t time.Time) string { return t.Format("2006") },
	} {
		slots := make([]string, len(snaps))
		for i, s := range snaps {
			slots[i] = name(at[s.GUID].In(z))
		}
		end := map[string]time.Time{}
		for i, s := range snaps {
			if at[s.GUID].After(end[slots[i]]) {
				end[slots[i]] = at[s.GUID]
			}
		}
		for i, s := range snaps {
			stands, rank := true, 0
			for j, other := range snaps {
				stands = stands && !(slots[j] == slots[i] && other.CreateTXG > s.CreateTXG)
			}
			for _, e := range end {
				if e.After(end[slots[i]]) {
					rank++
				}
			}
			if stands && (*n == All || rank < *n) {
				keep[s.GUID] = true
			}
		}
	}
	return keep
}

// randomHistory is up to 40 snapshots, clumped and scattered, anywhere in ten
// years; orderly ones have no two clocks.
func randomHistory(r *rand.Rand, orderly bool) []Snapshot {
	at := time.Date(2026+r.IntN(10), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), 0, 0, time.UTC)
	steps := []time.Duration{time.Minute, 17 * time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour, 24 * time.Hour, 9 * 24 * time.Hour, 200 * 24 * time.Hour}
	var times []time.Time
	used := map[int64]bool{}
	for range 1 + r.IntN(40) {
		at = at.Add(time.Duration(1 + r.Int64N(int64(2*steps[r.IntN(len(steps))]))).Truncate(time.Second))
		t := at
		if !orderly && r.IntN(6) == 0 {
			t = t.Add(-time.Duration(r.Int64N(int64(40 * 24 * time.Hour))).Truncate(time.Second))
		}
		for used[t.Unix()] { // a name is taken once
			t = t.Add(time.Second)
			at = at.Add(time.Second)
		}
		used[t.Unix()] = true
		times = append(times, t)
	}
	snaps := history(times...)
	for i := range snaps {
		snaps[i].GUID = GUID(r.Uint64())
	}
	return snaps
}

func randomKeep(r *rand.Rand) Keep {
	n := func() int { return []int{0, 0, 1, 2, 3, 7, 12, All}[r.IntN(8)] }
	k := Keep{n(), n(), n(), n(), n()}
	if k == (Keep{}) {
		k.Daily = 1
	}
	return k
}

// someTime is past every stamp of randomHistory.
var someTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func randomInput(r *rand.Rand, orderly bool, zs []*time.Location) KeepInput {
	return KeepInput{
		Prefix: "triplicate", Snapshots: randomHistory(r, orderly), Keep: randomKeep(r),
		Zone: zs[r.IntN(len(zs))], Now: someTime, MassAcked: true,
	}
}

func keptGUIDs(res KeepResult) map[GUID]bool {
	m := map[GUID]bool{}
	for _, d := range res.Decisions {
		if d.Keep {
			m[d.Snapshot.GUID] = true
		}
	}
	return m
}

func same(a, b map[GUID]bool) bool { return len(a) == len(b) && subset(a, b) }

func subset(a, b map[GUID]bool) bool {
	for g := range a {
		if !b[g] {
			return false
		}
	}
	return true
}

func loadZones(t *testing.T) (zs []*time.Location) {
	for _, n := range append(zones, "Asia/Kathmandu", "America/Santiago") {
		zs = append(zs, zone(t, n))
	}
	return zs
}

func TestDecideAgainstReference(t *testing.T) {
	zs := loadZones(t)
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := randomInput(r, seed%2 == 0, zs)
		want := reference(in.Snapshots, in.Keep, in.Zone)
		r.Shuffle(len(in.Snapshots), func(i, j int) {
			in.Snapshots[i], in.Snapshots[j] = in.Snapshots[j], in.Snapshots[i]
		})
		if got := keptGUIDs(Decide(in)); !same(got, want) {
			t.Fatalf("seed %d, %s in %s: kept %v, want %v of %v", seed, in.Keep, in.Zone, got, want, in.Snapshots)
		}
	}
}

// What holds for every history, also where clocks were wrong.
func TestDecideProperties(t *testing.T) {
	zs := loadZones(t)
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 2))
		in := randomInput(r, seed%2 == 0, zs)
		in.Protected = map[GUID]string{}
		for _, s := range in.Snapshots {
			if r.IntN(8) == 0 {
				in.Protected[s.GUID] = "base of replica r"
			}
		}
		res := Decide(in)
		first := keptGUIDs(res)
		fail := func(rule string) { t.Fatalf("seed %d, %s in %s: %s", seed, in.Keep, in.Zone, rule) }

		if len(first) == 0 || len(pruned(in.Snapshots, res)) != len(first) {
			fail("a dataset reached zero, or something else than the decision goes")
		}
		for _, s := range in.Snapshots {
			if _, ok := in.Protected[s.GUID]; ok && !first[s.GUID] {
				fail("a protected snapshot goes")
			}
		}
		again := in
		again.Snapshots = pruned(in.Snapshots, res)
		if !same(keptGUIDs(Decide(again)), first) {
			fail("not idempotent")
		}
		later := in
		later.Now = in.Now.AddDate(r.IntN(50), 0, 0)
		if !same(keptGUIDs(Decide(later)), first) {
			fail("silent time destroys")
		}
		more := in
		raise := []*int{&more.Keep.Hourly, &more.Keep.Daily, &more.Keep.Weekly, &more.Keep.Monthly, &more.Keep.Yearly}[r.IntN(5)]
		if *raise != All {
			*raise = []int{*raise + 1 + r.IntN(5), All}[r.IntN(2)]
		}
		if !subset(first, keptGUIDs(Decide(more))) {
			fail("raising a number destroys")
		}
		if PolicyShrinks(PolicyMark(in.Keep, in.Zone, "p"), PolicyMark(more.Keep, in.Zone, "p")) {
			fail("raising a number needs an acknowledgement")
		}
		mixed := in
		mixed.Snapshots = slices.Clone(in.Snapshots)
		for i := range r.IntN(5) {
			mixed.Snapshots = slices.Insert(mixed.Snapshots, r.IntN(len(mixed.Snapshots)),
				Snapshot{Dataset: "tank/a", Name: fmt.Sprintf("auto-%d", i), GUID: GUID(i + 1), CreateTXG: r.Uint64()})
		}
		if !same(keptGUIDs(Decide(mixed)), first) {
			fail("a foreign snapshot changes something")
		}
	}
}

// Whenever prune ran in between, the same is left in the end.
func TestDecideIndependentOfPruneTimes(t *testing.T) {
	zs := loadZones(t)
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		in := randomInput(r, true, zs)
		want := keptGUIDs(Decide(in))
		step, often := in, 1+r.IntN(6)
		step.Snapshots = nil
		for _, s := range in.Snapshots {
			step.Snapshots = append(step.Snapshots, s)
			if r.IntN(often) == 0 {
				step.Snapshots = pruned(step.Snapshots, Decide(step))
			}
		}
		if got := keptGUIDs(Decide(step)); !same(got, want) {
			t.Fatalf("seed %d, %s in %s: with prunes in between kept %v, want %v", seed, in.Keep, in.Zone, got, want)
		}
	}
}
