package activities

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

// TestAtMost: a list is bounded and has the worst first.
func TestAtMost(t *testing.T) {
	var items []Item
	for i := range 5000 {
		o := backup.Skipped
		if i%1000 == 999 {
			o = backup.Failed
		}
		items = append(items, Item{Name: fmt.Sprintf("%0255d", i), Outcome: o, Detail: strings.Repeat("x", 1000)})
	}
	got := AtMost(items)
	data, err := json.Marshal(got)
	if err != nil || len(data) > 256<<10 {
		t.Errorf("%d bytes, %v; want at most 256 KiB", len(data), err)
	}
	for i := range 5 {
		if got[i].Outcome != backup.Failed {
			t.Errorf("item %d is %s, want all failed ones first", i, got[i].Outcome)
		}
	}
	if last := got[len(got)-1]; last.Name != "and 4800 more" || last.Outcome != backup.Skipped {
		t.Errorf("it ends with %+v", last)
	}
	few := []Item{{Name: "b", Outcome: backup.Skipped}, {Name: "a", Outcome: backup.Failed}}
	if diff := cmp.Diff([]Item{{Name: "b", Outcome: backup.Skipped}, {Name: "a", Outcome: backup.Failed}}, AtMost(few)); diff != "" {
		t.Errorf("a short list was changed (-want +got):\n%s", diff)
	}
}

// TestAgain: which troubles a plan waits for, and for how long.
func TestAgain(t *testing.T) {
	hdd := listing{datasets: []backup.Dataset{{Name: "hdd"}}}
	moment, hung := errors.New("fork: try again"), fmt.Errorf("list: %w", errNoAnswer)
	for name, c := range map[string]struct {
		all    listing
		failed map[string]error
		tries  int // at which it is still an error
	}{
		"all there":                 {listing{datasets: []backup.Dataset{{Name: "hdd"}, {Name: "nvme"}}}, nil, 0},
		"one not imported":          {hdd, nil, 0},
		"none imported":             {listing{}, nil, bootTries},
		"one suspended":             {hdd, map[string]error{"nvme": backup.ErrSuspended}, 0},
		"one suspended, one absent": {listing{}, map[string]error{"nvme": backup.ErrSuspended}, bootTries},
		"both suspended":            {listing{}, map[string]error{"nvme": backup.ErrSuspended, "hdd": backup.ErrSuspended}, 0},
		"a moment's trouble":        {hdd, map[string]error{"nvme": moment}, hiccups},
		"one hung":                  {hdd, map[string]error{"nvme": hung}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			steps := &Pools{Policy: backup.Policy{Rows: []backup.Row{{Dataset: "nvme/a"}, {Dataset: "hdd/a"}}}}
			tries := 0
			for steps.again(tries+1, c.all, c.failed) != nil {
				tries++
			}
			if tries != c.tries {
				t.Errorf("%d tries, want %d", tries, c.tries)
			}
		})
	}
}

// TestCulprits reads what zfs snapshot says, as internal/zfs puts it on one line.
func TestCulprits(t *testing.T) {
	names := []string{"hdd/a@s", "hdd/a/b@s", "hdd/ab@s"}
	for name, c := range map[string]struct {
		said string
		want map[string]string
	}{
		"one": {
			"snapshot: zfs snapshot -o triplicate:run=r hdd/a@s hdd/a/b@s hdd/ab@s: cannot create snapshot 'hdd/a/b@s': dataset is busy no snapshots were created (exit status 1)",
			map[string]string{"hdd/a/b@s": "zfs does not take it: dataset is busy"},
		},
		"two": {
			"zfs snapshot: cannot create snapshot 'hdd/a@s': out of space cannot create snapshot 'hdd/ab@s': dataset is busy no snapshots were created",
			map[string]string{"hdd/a@s": "zfs does not take it: out of space", "hdd/ab@s": "zfs does not take it: dataset is busy"},
		},
		"a limit": {
			"cannot create snapshot 'hdd/a': out of space no snapshots were created",
			map[string]string{"hdd/a@s": "zfs does not take it: out of space", "hdd/a/b@s": "zfs does not take it: out of space"},
		},
		"the pool": {"cannot create snapshots : out of space no snapshots were created", map[string]string{}},
		"no zfs":   {"zfs snapshot hdd/a@s: no answer within 5m0s; the pool may be hung (exit status -1)", map[string]string{}},
	} {
		if diff := cmp.Diff(c.want, culprits(c.said, names)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPatience: a hung pool must not cost the others their stamp.
func TestPatience(t *testing.T) {
	if patience > backup.StampTolerance-time.Minute {
		t.Errorf("patience is %s of %s", patience, backup.StampTolerance)
	}
}
