package backup

import (
	"fmt"
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
	RefuseMass    Refusal = "more than 25 % and more than 20 snapshots would go at once; look at `triplicate plan`, then `triplicate ack retention`"
	RefuseChanged Refusal = "the policy now keeps less than the acknowledged one; look at `triplicate plan`, then `triplicate ack retention`"
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
// Empty slots do not count, so nothing expires because time passed.
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
	reasons := tierReasons(cands, in.Keep, in.Zone)
	destroy := 0
	for i, c := range cands {
		why := reasons[i]
		if i == len(cands)-1 {
			why = append(why, "newest")
		}
		if p, ok := in.Protected[c.snap.GUID]; ok {
			why = append(why, p)
		}
		d := Decision{Snapshot: c.snap, Keep: len(why) > 0, Reason: strings.Join(why, ", ")}
		if !d.Keep {
			destroy++
			d.Reason = "in no slot of " + in.Keep.String()
		}
		res.Decisions = append(res.Decisions, d)
	}
	res.Refusal = refuse(in, cands, destroy)
	return res
}

// refuse finds what forbids pruning at all.
func refuse(in KeepInput, cands []candidate, destroy int) Refusal {
	if len(cands) == 0 || destroy == 0 {
		return RefuseNone
	}
	newest := cands[len(cands)-1].at
	for _, c := range cands {
		if c.at.After(in.Now.Add(SkewTolerance)) && c.at != newest {
			return RefuseFuture
		}
	}
	switch {
	case in.Keep == (Keep{}):
		return RefuseNoKeep
	case newest.After(in.Now.Add(SkewTolerance)):
		return RefuseClock
	case !in.MassAcked && destroy > MassCount && destroy*100 > len(cands)*MassPercent:
		return RefuseMass
	}
	return RefuseNone
}

// tier is one line of Keep: how many slots, and which slot an instant is in.
type tier struct {
	name string
	n    int
	slot func(time.Time) string
}

func (k Keep) tiers() []tier {
	return []tier{
		// The offset is part of the hour, so the 25-hour day has 25 slots.
		{"hourly", k.Hourly, func(t time.Time) string { return t.Format("2006-01-02T15-0700") }},
		{"daily", k.Daily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{"weekly", k.Weekly, func(t time.Time) string {
			y, w := t.ISOWeek()
			return fmt.Sprintf("%04d-W%02d", y, w)
		}},
		{"monthly", k.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"yearly", k.Yearly, func(t time.Time) string { return t.Format("2006") }},
	}
}

// tierReasons says for each candidate, in createtxg order, which slots it stands
// for.
func tierReasons(cands []candidate, keep Keep, zone *time.Location) [][]string {
	reasons := make([][]string, len(cands))
	for _, t := range keep.tiers() {
		if t.n == 0 {
			continue
		}
		used := 0
		seen := map[string]bool{}
		for i := len(cands) - 1; i >= 0 && (t.n == All || used < t.n); i-- {
			slot := t.slot(cands[i].at.In(zone))
			if seen[slot] {
				continue
			}
			seen[slot] = true
			used++
			of := fmt.Sprint(t.n)
			if t.n == All {
				of = "all"
			}
			reasons[i] = append(reasons[i], fmt.Sprintf("%s %d/%s", t.name, used, of))
		}
	}
	return reasons
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
