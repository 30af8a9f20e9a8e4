package backup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOffsiteOf(t *testing.T) {
	row := func(k FrequencyKind) *Row { return &Row{Dataset: "hdd/a", Frequency: Frequency{Kind: k}} }
	fs := Dataset{Name: "hdd/a", Type: Filesystem, KeyLoaded: true}
	for name, test := range map[string]struct {
		covered Covered
		way     OffsiteWay
		outcome Outcome
	}{
		"a row's snapshots serve":           {Covered{Dataset: fs, Row: row(EachDay)}, WayOwn, OK},
		"a replica's received ones":         {Covered{Dataset: fs, Row: row(EachDay), Replica: &Replica{}}, WayOwn, OK},
		"no row: one is taken":              {Covered{Dataset: fs}, WayTaken, OK},
		"a disabled row: one is taken":      {Covered{Dataset: fs, Row: row(Disabled)}, WayTaken, OK},
		"a volume":                          {Covered{Dataset: Dataset{Type: Volume, KeyLoaded: true}}, WayNone, NotCovered},
		"a locked dataset is never changed": {Covered{Dataset: Dataset{Type: Filesystem, Encrypted: true}}, WayNone, Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			way, outcome, reason := OffsiteOf(test.covered)
			if way != test.way || outcome != test.outcome || (reason == "") != (outcome == OK) {
				t.Errorf("got %q, %s, %q; want %q, %s", way, outcome, reason, test.way, test.outcome)
			}
		})
	}
}

func TestTargetValues(t *testing.T) {
	none := Property{}
	one := Property{WithTargetValue(none, "aws", "files"), "local"}
	two := Property{WithTargetValue(one, "b2", "x"), "local"}
	for name, test := range map[string]struct{ got, want string }{
		"first":                    {one.Value, "aws=files"},
		"second":                   {two.Value, "aws=files b2=x"},
		"read one":                 {TargetValue(two, "aws"), "files"},
		"a prefix is no name":      {TargetValue(two, "b"), ""},
		"replaced":                 {WithTargetValue(two, "aws", "y"), "aws=y b2=x"},
		"taken out":                {WithTargetValue(two, "aws", ""), "b2=x"},
		"none left":                {WithTargetValue(one, "aws", ""), "-"},
		"after none":               {WithTargetValue(Property{"-", "local"}, "aws", "x"), "aws=x"},
		"inherited does not count": {TargetValue(Property{"aws=files", "inherited from hdd"}, "aws"), ""},
		"nor is it carried over":   {WithTargetValue(Property{"b2=x", "inherited from hdd"}, "aws", "y"), "aws=y"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", name, test.got, test.want)
		}
	}
}

func TestApprovalsStandInAProperty(t *testing.T) {
	held := Held(7, Change{Upload: 3, UploadBytes: 9, Gone: 1, Large: 1, Parts: 4})
	if got := ParseApproval(held.String()); got == nil || got.Dataset != 7 || got.Uploads != 3 || got.Bytes != 9 || got.Gone != 1 {
		t.Errorf("read back as %+v", got)
	}
	for _, s := range []string{"", "-", "used", "7,1,2", "7,1,2,3,x", "x,1,2,3,4", "7,1,2,3,4,5"} {
		if got := ParseApproval(s); got != nil {
			t.Errorf("%q approves %+v", s, got)
		}
	}
	if diff := cmp.Diff(Approval{Dataset: 7, Uploads: 103, Bytes: 11 + 1<<30, Gone: 1, USD: held.USD*1.25 + 0.10}, held.Allow()); diff != "" {
		t.Error(diff)
	}
}

func TestCommittedIsTheNewestOfTheTargets(t *testing.T) {
	marks := []Bookmark{
		{Name: "triplicate:offsite:aws:20261122T020000Z", GUID: 1, CreateTXG: 10},
		{Name: "triplicate:offsite:aws:20261123T020000Z", GUID: 2, CreateTXG: 20},
		{Name: "triplicate:offsite:b2:20261124T020000Z", GUID: 3, CreateTXG: 30},
		{Name: "triplicate-aws-20261125T020000Z", GUID: 4, CreateTXG: 40},
	}
	if got, ok := Committed("triplicate", "aws", marks); !ok || got.GUID != 2 {
		t.Errorf("committed = %v, %v", got, ok)
	}
	if _, ok := Committed("triplicate", "gcs", marks); ok {
		t.Error("a target without a copy has a committed point")
	}
}
