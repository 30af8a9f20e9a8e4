package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSnapshotsOfAPoolThatCannotBeListed: what cannot be seen is an error that names
// the pool, never a short list; what can be seen is printed.
func TestSnapshotsOfAPoolThatCannotBeListed(t *testing.T) {
	s := backedUp(t)
	s.host.Suspend("hdd")
	for name, tc := range map[string]struct {
		args []string
		code int
		out  string
		err  string
	}{
		"all":                     {nil, exitUnreachable, "nvme/personal@triplicate-20261125T120000Z", "pool hdd cannot be listed"},
		"one of it":               {[]string{"hdd/data"}, exitUnreachable, "SNAPSHOT", "pool hdd cannot be listed"},
		"one of the other":        {[]string{"nvme/personal"}, exitOK, "nvme/personal@triplicate-20261125T120000Z", ""},
		"a name that nothing has": {[]string{"nvme/typo"}, exitFailed, "", `no dataset "nvme/typo"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.must(tc.code, append([]string{"snapshots"}, tc.args...)...)
			if !strings.Contains(got.out, tc.out) || !strings.Contains(got.err, tc.err) {
				t.Errorf("stdout:\n%sstderr:\n%s", got.out, got.err)
			}
			if strings.Contains(got.out, " destroy ") {
				t.Errorf("prune is refused, and it says that it would destroy:\n%s", got.out)
			}
			if tc.code != exitUnreachable {
				return
			}
			got = s.must(tc.code, append([]string{"snapshots", "--json"}, tc.args...)...)
			var lines []snapshotLine
			if err := json.Unmarshal([]byte(got.out), &lines); err != nil || lines == nil {
				t.Errorf("%v in %s", err, got.out)
			}
		})
	}
}

// TestSnapshotsOfARefusedPrune: it says refused where plan says it, and never that
// something would be destroyed.
func TestSnapshotsOfARefusedPrune(t *testing.T) {
	s := aMass(t)
	got := s.must(exitOK, "snapshots", "nvme/personal")
	if strings.Contains(got.out, "destroy ") || strings.Count(got.out, " refused ") != 37 || !strings.Contains(got.out, "nvme/personal is not pruned: more than 25 %") {
		t.Errorf("it says\n%s", got.out)
	}
	got = s.must(exitOK, "snapshots", "nvme/personal", "--json")
	if strings.Contains(got.out, `"keep": false`) || strings.Count(got.out, `"refusal": "more than`) != 37 {
		t.Errorf("it says\n%s", got.out)
	}
}
