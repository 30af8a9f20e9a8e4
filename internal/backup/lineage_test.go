package backup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLineageOf(t *testing.T) {
	snaps := func(dataset string, guids ...GUID) (all []Snapshot) {
		for i, g := range guids {
			all = append(all, Snapshot{Dataset: dataset, GUID: g, CreateTXG: uint64(10 + i)})
		}
		return all
	}
	type m = map[string]string
	for name, tc := range map[string]struct {
		snapshots [][]Snapshot
		want      Lineage
	}{
		"nothing":               {nil, Lineage{m{}, m{}}},
		"strangers":             {[][]Snapshot{snaps("a/x", 1, 2), snaps("b/x", 3)}, Lineage{m{}, m{}}},
		"a copy that is behind": {[][]Snapshot{snaps("a/x", 1, 2, 3), snaps("b/x", 1, 2)}, Lineage{m{"b/x": "a/x"}, m{}}},
		"a copy that is level":  {[][]Snapshot{snaps("a/x", 1, 2), snaps("b/x", 2)}, Lineage{m{}, m{"a/x": "b/x", "b/x": "a/x"}}},
		"a copy of a copy":      {[][]Snapshot{snaps("a/x", 1, 2, 3), snaps("b/x", 1, 2), snaps("c/x", 1)}, Lineage{m{"b/x": "a/x", "c/x": "a/x"}, m{}}},
		"both have gone on":     {[][]Snapshot{snaps("a/x", 1, 2), snaps("b/x", 1, 3)}, Lineage{m{}, m{}}},
		"order is createtxg's":  {[][]Snapshot{{{Dataset: "a/x", GUID: 2, CreateTXG: 9}, {Dataset: "a/x", GUID: 1, CreateTXG: 5}}, snaps("b/x", 1)}, Lineage{m{"b/x": "a/x"}, m{}}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []Snapshot
			for _, s := range tc.snapshots {
				all = append(all, s...)
			}
			got := LineageOf(all)
			if name == "a copy of a copy" && got.CopyOf["c/x"] == "b/x" {
				got.CopyOf["c/x"] = "a/x" // either is right
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
