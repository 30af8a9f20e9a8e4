package backup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMayBeHeld(t *testing.T) {
	renamed, offsite := mark(2), mark(3)
	renamed.Name, offsite.Name = "old-prefix-of-a-replica-that-is-gone-20261122T020000Z", "by-hand"
	marks := []Bookmark{mark(1), renamed, offsite, {Dataset: "nvme/b", Name: mark(4).Name, GUID: 4}}
	got := MayBeHeld(points("nvme/a", 1, 2, 3, 4, 5), marks)
	if diff := cmp.Diff(points("nvme/a", 1, 2), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTagsOfAnyReplica(t *testing.T) {
	if !IsStepTag(StepTag("x")) || !IsHoldTag(HoldTag("x")) || IsStepTag(HoldTag("x")) || IsHoldTag(StepTag("x")) || IsStepTag("mine") {
		t.Error("step and base tags are mixed up")
	}
}

// settledEnds is a replica that is up to date with all in order, and its facts.
func settledEnds(change func(*SendInput, []SnapshotFacts)) (SendInput, []SnapshotFacts) {
	in := sends(func(in *SendInput) {
		in.Received = points("hdd/a", 1, 3)
		in.Marks = []Bookmark{mark(1), mark(3)}
	})
	facts := []SnapshotFacts{
		{Snapshot: point("hdd/a", 3), UserRefs: 1, Properties: local(PropClass, ClassPeriodic)},
		{Snapshot: point("nvme/a", 1)},
		{Snapshot: point("nvme/a", 3)},
	}
	change(&in, facts)
	return in, facts
}

func TestSettled(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*SendInput, []SnapshotFacts)
		want   bool
	}{
		"all in order":                       {func(*SendInput, []SnapshotFacts) {}, true},
		"the source keeps no snapshot of it": {func(in *SendInput, _ []SnapshotFacts) { in.Snaps = nil }, true},
		"the last has a name of somebody's":  {func(in *SendInput, f []SnapshotFacts) { in.Received[1].Name, f[0].Properties = "x", nil }, true},
		"the last is not held":               {func(_ *SendInput, f []SnapshotFacts) { f[0].UserRefs = 0 }, false},
		"the last is not marked":             {func(_ *SendInput, f []SnapshotFacts) { f[0].Properties = nil }, false},
		"the mark is the dataset's": {func(_ *SendInput, f []SnapshotFacts) {
			f[0].Properties[PropClass] = Property{"x", "inherited from hdd/a"}
		}, false},
		"the last is gone":                      {func(_ *SendInput, f []SnapshotFacts) { f[0].GUID = 9 }, false},
		"a hold was left on the source":         {func(_ *SendInput, f []SnapshotFacts) { f[1].UserRefs = 1 }, false},
		"no bookmark of the base":               {func(in *SendInput, _ []SnapshotFacts) { in.Marks = in.Marks[:1] }, false},
		"a bookmark under another's name":       {func(in *SendInput, _ []SnapshotFacts) { in.Marks[1].GUID = 9 }, false},
		"a bookmark of what was never received": {func(in *SendInput, _ []SnapshotFacts) { in.Marks = append(in.Marks, mark(2)) }, false},
		"the source was renamed":                {func(in *SendInput, _ []SnapshotFacts) { in.Source.Name = "nvme/b" }, false},
		"the replica was renamed":               {func(in *SendInput, _ []SnapshotFacts) { in.Replica.Name = "s" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			in, facts := settledEnds(tt.change)
			u := PlanUpkeep(in)
			if got := u.Settled(facts); got != tt.want {
				t.Errorf("got %v, want %v (%+v)", got, tt.want, u)
			}
		})
	}
}
