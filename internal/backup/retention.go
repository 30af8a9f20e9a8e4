package backup

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Clock tolerances and the mass-destroy guard of prune.
const (
	// SkewTolerance is how far the clock may lie behind the newest snapshot
	// before prune takes it for wrong.
	SkewTolerance = 5 * time.Minute
	// MassCount and MassPercent: more than both at once needs the operator's word.
	MassCount   = 20
	MassPercent = 25
)

// Decision is keep or destroy, with the reason.
type Decision struct {
	Snapshot Snapshot `json:"snapshot"`
	Keep     bool     `json:"keep"`
	Reason   string   `json:"reason"`
}

// Refusal is why prune leaves a dataset alone altogether. Empty: it does not.
type Refusal string

// The refusals. They stop pruning, never the backup.
const (
	RefuseNone    Refusal = ""
	RefuseClock   Refusal = "the clock is behind the newest snapshot; set it right and prune will go on"
	RefuseFuture  Refusal = "a snapshot is dated in the future; destroy it by hand or wait until its time has come"
	RefuseNoKeep  Refusal = "the policy keeps nothing; give the row a keep"
	RefuseMass    Refusal = "more than 25 % and more than 20 snapshots would go at once; look at `triplicate plan`, then `triplicate ack retention ROW` (`triplicate check` names it)"
	RefuseUnseen  Refusal = "the pool of its replica cannot be listed, so what the replica still needs is not known; prune goes on when it can"
	RefuseChanged Refusal = "the policy now keeps less than the acknowledged one; look at `triplicate plan`, then `triplicate ack retention ROW` (`triplicate check` names it)"
)

// KeepInput is one dataset's snapshots and what to judge them by.
type KeepInput struct {
	Prefix    string
	Snapshots []Snapshot // all of the dataset's; those not of our pattern are foreign
	Keep      Keep
	Zone      *time.Location
	Now       time.Time
	Protected map[GUID]string // never destroyed, with the reason
	MassAcked bool            // the operator has allowed a mass destroy
}

// KeepResult is a decision for each of our snapshots, in createtxg order.
type KeepResult struct {
	Decisions []Decision
	Foreign   int
	Refusal   Refusal
}

// Destroy lists what may go; nothing when the result is a refusal.
func (r KeepResult) Destroy() []Snapshot {
	if r.Refusal != RefuseNone {
		return nil
	}
	var out []Snapshot
	for _, d := range r.Decisions {
		if !d.Keep {
			out = append(out, d.Snapshot)
		}
	}
	return out
}

// candidate is one of our snapshots with the instant in its name. That instant,
// not the creation property, is its time: it is exact and costs no slow column.
type candidate struct {
	snap Snapshot
	at   time.Time
}

// Decide applies a retention policy to one dataset. Tier n keeps the newest
// candidate in each of the n latest calendar slots that have one; tiers are
// independent; their union stays, and the newest, and all that is protected.
// Empty slots do not count, so nothing expires because time passed, and what
// goes does not depend on when prune ran. Now only serves to notice a wrong clock.
func Decide(in KeepInput) KeepResult {
	var res KeepResult
	var cands []candidate
	for _, s := range in.Snapshots {
		stamp, ours := StampIn(in.Prefix, s.Name)
		if !ours {
			res.Foreign++
			continue
		}
		at, _ := stamp.Time() // StampIn has checked it
		cands = append(cands, candidate{s, at})
	}
	slices.SortFunc(cands, func(a, b candidate) int { return ByCreateTXG(a.snap, b.snap) })
	kept, lost := tierReasons(cands, in.Keep, in.Zone)
	destroy := 0
	for i, c := range cands {
		why := kept[i]
		if i == len(cands)-1 {
			why = append(why, "newest")
		}
		if p, ok := in.Protected[c.snap.GUID]; ok {
			why = append(why, p)
		}
		d := Decision{Snapshot: c.snap, Keep: len(why) > 0, Reason: strings.Join(why, ", ")}
		if !d.Keep {
			destroy++
			d.Reason = cmp.Or(strings.Join(lost[i], ", "), "the policy keeps nothing")
		}
		res.Decisions = append(res.Decisions, d)
	}
	res.Refusal = refuse(in, cands, destroy)
	return res
}

// refuse finds what forbids pruning at all. Where nothing would go there is
// nothing to refuse.
func refuse(in KeepInput, cands []candidate, destroy int) Refusal {
	if destroy == 0 {
		return RefuseNone
	}
	future := in.Now.Add(SkewTolerance)
	switch {
	case in.Keep == (Keep{}):
		return RefuseNoKeep
	case cands[len(cands)-1].at.After(future):
		return RefuseClock
	case slices.ContainsFunc(cands, func(c candidate) bool { return c.at.After(future) }):
		return RefuseFuture
	case !in.MassAcked && destroy > MassCount && destroy*100 > len(cands)*MassPercent:
		return RefuseMass
	}
	return RefuseNone
}

// slot is a calendar slot: its start as a number that orders it among its tier's.
// The offset tells apart the two hours that autumn's clocks both call 02.
type slot struct {
	start  int64
	offset int
}

// tier is one line of Keep: how many slots, and which slot an instant is in.
type tier struct {
	name, unit string
	n          int
	slot       func(time.Time) slot
}

func (k Keep) tiers() []tier {
	return []tier{
		{"hourly", "hour", k.Hourly, func(t time.Time) slot {
			_, offset := t.Zone()
			return slot{floor(t.Unix()+int64(offset), 3600)*3600 - int64(offset), offset}
		}},
		{"daily", "day", k.Daily, func(t time.Time) slot { return slot{start: dayNumber(t)} }},
		// ISO weeks start on Monday; day 0, 1970-01-01, was a Thursday.
		{"weekly", "week", k.Weekly, func(t time.Time) slot { return slot{start: floor(dayNumber(t)+3, 7)} }},
		{"monthly", "month", k.Monthly, func(t time.Time) slot {
			return slot{start: int64(t.Year())*12 + int64(t.Month())}
		}},
		{"yearly", "year", k.Yearly, func(t time.Time) slot { return slot{start: int64(t.Year())} }},
	}
}

// dayNumber counts the calendar days since 1970-01-01 on the clocks of t's zone.
func dayNumber(t time.Time) int64 {
	_, offset := t.Zone()
	return floor(t.Unix()+int64(offset), 24*3600)
}

// floor is a/b rounded down, also for a before 1970.
func floor(a, b int64) int64 {
	if a < 0 {
		a -= b - 1
	}
	return a / b
}

// tierReasons says for each candidate, in createtxg order, which slots it stands
// for, and why each other tier does not keep it. Which snapshot is the newest of
// its slot is createtxg's word; which slots are the latest is the calendar's, so
// that a snapshot stamped by a wrong clock does not push out a right one.
func tierReasons(cands []candidate, keep Keep, zone *time.Location) (kept, lost [][]string) {
	kept, lost = make([][]string, len(cands)), make([][]string, len(cands))
	for _, t := range keep.tiers() {
		if t.n == 0 {
			continue
		}
		newest := map[slot]int{}
		for i, c := range cands {
			newest[t.slot(c.at.In(zone))] = i // later ones replace earlier ones
		}
		latest := slices.SortedFunc(maps.Keys(newest), func(a, b slot) int {
			return cmp.Or(cmp.Compare(b.start, a.start), cmp.Compare(b.offset, a.offset))
		})
		for i := range cands {
			lost[i] = append(lost[i], "not the newest of its "+t.unit)
		}
		for rank, s := range latest {
			i := newest[s]
			switch {
			case t.n < 0: // All
				kept[i] = append(kept[i], fmt.Sprintf("%s %d/all", t.name, rank+1))
			case rank < t.n:
				kept[i] = append(kept[i], fmt.Sprintf("%s %d/%d", t.name, rank+1, t.n))
			default:
				lost[i][len(lost[i])-1] = fmt.Sprintf("beyond %s %d", t.name, t.n)
			}
		}
	}
	return kept, lost
}

// String is the policy in words, the same for the same policy: hourly 12, daily 14.
func (k Keep) String() string {
	var parts []string
	for _, t := range k.tiers() {
		switch {
		case t.n == All:
			parts = append(parts, t.name+" all")
		case t.n > 0:
			parts = append(parts, fmt.Sprintf("%s %d", t.name, t.n))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// PolicyMark is the acknowledged policy as PropPolicy holds it.
func PolicyMark(k Keep, zone *time.Location, prefix string) string {
	return fmt.Sprintf("%d/%d/%d/%d/%d %s %s", k.Hourly, k.Daily, k.Weekly, k.Monthly, k.Yearly, zone, prefix)
}

// PolicyShrinks says whether going from one PolicyMark to another could destroy
// more: a lower number, another zone, another prefix, or a mark that cannot be
// read. Raising a number never can, so it needs no acknowledgement.
func PolicyShrinks(from, to string) bool {
	a, za, okA := readMark(from)
	b, zb, okB := readMark(to)
	if !okA || !okB || za != zb {
		return from != to
	}
	for i := range a {
		if a[i] == All && b[i] != All || b[i] != All && b[i] < a[i] {
			return true
		}
	}
	return false
}

func readMark(mark string) (n [5]int, rest string, ok bool) {
	tiers, rest, _ := strings.Cut(mark, " ")
	got, err := fmt.Sscanf(tiers, "%d/%d/%d/%d/%d", &n[0], &n[1], &n[2], &n[3], &n[4])
	return n, rest, err == nil && got == 5
}
