package backup

import "testing"

func TestSplitPath(t *testing.T) {
	names := []string{"nvme", "nvme/personal", "nvme/personal/photos", "nvme/person"}
	for full, want := range map[string]struct{ dataset, rel string }{
		"/nvme/personal/diary":          {"nvme/personal", "diary"},
		"nvme/personal/photos/a/b.jpg":  {"nvme/personal/photos", "a/b.jpg"},
		"nvme/personal//photos/./b.jpg": {"nvme/personal/photos", "b.jpg"},
		"nvme/personality":              {"nvme", "personality"},
		"/nvme/personal":                {},
		"/nvme/personal/":               {},
		"/hdd/x":                        {},
		"/nvme/personal/../../etc/x":    {},
		"":                              {},
		"/":                             {},
		"nvme/personal/a..b":            {"nvme/personal", "a..b"},
		"nvme/personal/x\x00y":          {},
	} {
		dataset, rel, err := SplitPath(full, names)
		if dataset != want.dataset || rel != want.rel || (err != nil) != (want.dataset == "") {
			t.Errorf("%q: %q, %q, %v; want %q, %q", full, dataset, rel, err, want.dataset, want.rel)
		}
	}
}

func TestPointAt(t *testing.T) {
	snaps := []Snapshot{
		{Name: "triplicate-20261122T010000Z", GUID: 1, CreateTXG: 1},
		{Name: "triplicate-20261124T010000Z", GUID: 2, CreateTXG: 2},
		{Name: "mine", GUID: 3, CreateTXG: 3},
	}
	for at, want := range map[Stamp]GUID{"": 2, "20261123T000000Z": 1, "20261122T010000Z": 1, "20261121T000000Z": 0} {
		got, ok := PointAt("triplicate", snaps, at)
		if got.GUID != want || ok != (want != 0) {
			t.Errorf("at %q: %v, %v; want guid %d", at, got, ok, want)
		}
	}
}
