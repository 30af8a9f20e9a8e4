//go:build interop

package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// line is the one command line of tool in docs/operations.md that has all words:
// what is tested is what operators are told to type.
func line(t *testing.T, tool string, words ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for l := range strings.Lines(string(data)) {
		l, isCode := strings.CutPrefix(strings.TrimRight(l, "\n"), "    ")
		has := func(w string) bool { return slices.Contains(strings.Fields(l), w) }
		if isCode && strings.HasPrefix(l, tool+" ") && !slices.ContainsFunc(words, func(w string) bool { return !has(w) }) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/operations.md has %d lines of %s with %q, want one: %q", len(found), tool, words, found)
	}
	return found[0]
}

// nightly is the schedule as triplicate sees it.
type nightly struct {
	ID     string `json:"id"`
	Paused bool   `json:"paused"`
	Note   string `json:"note"`
}

func (d *daemon) nightly() nightly {
	d.t.Helper()
	var all []nightly
	out, err := d.run("bin/triplicate schedules list --json")
	if err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		d.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s nightly) bool { return s.ID == "smith-nightly" })
	if i < 0 {
		d.t.Fatalf("no smith-nightly in %s", out)
	}
	return all[i]
}

// anID is the ID of a night that a schedule started.
var anID = regexp.MustCompile(`smith-nightly-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// runs are the workflow IDs of nights, as the tool lists them.
func (d *daemon) runs(tool string) (ids []string, out string) {
	d.t.Helper()
	out, err := d.run(line(d.t, tool, "workflow", "list", `"Nightly"'`))
	if err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	return anID.FindAllString(out, -1), out
}

// started waits for a run that is not among the ones before, and cancels it.
func (d *daemon) started(tool string, before []string, what string) (id string) {
	d.t.Helper()
	d.eventually(what+" is listed", func() (bool, string) {
		now, out := d.runs(tool)
		i := slices.IndexFunc(now, func(id string) bool { return !slices.Contains(before, id) })
		if i >= 0 {
			id = now[i]
		}
		return i >= 0, out
	})
	d.sh(anID.ReplaceAllString(line(d.t, tool, "cancel"), id))
	d.eventually(what+" has ended", func() (bool, string) {
		out, err := d.run("bin/triplicate schedules list --json")
		return err == nil && !strings.Contains(out, `"running"`), out
	})
	return id
}

// TestSchedulesFromTheCommandLine does with temporal and with tctl what operators
// do: a pause with its reason survives sync and restart, a trigger and a backfill
// start runs, which can be cancelled. The lines are those of docs/operations.md.
func TestSchedulesFromTheCommandLine(t *testing.T) {
	d := newDaemon(t)
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	y, m, day := time.Now().In(zone).Date()
	for i, tool := range []string{"temporal", "tctl"} {
		t.Run(tool, func(t *testing.T) {
			defer func(outer *testing.T) { d.t = outer }(d.t)
			d.t = t
			for _, want := range []string{"smith-nightly", "smith-hourly"} {
				if out := d.sh(line(t, tool, "schedule", "list")); !strings.Contains(out, want) {
					t.Errorf("no %s in the list:\n%s", want, out)
				}
			}
			pause(t, d, tool)
			before, _ := d.runs(tool)
			d.sh(line(t, tool, "trigger"))
			d.started(tool, before, "the triggered night")
			before, _ = d.runs(tool)
			// The night, a few days ago; another one for each tool.
			night := time.Date(y, m, day-2-i, 1, 30, 0, 0, zone)
			d.sh(backfillOf(line(t, tool, "backfill"), night))
			want := "smith-nightly-" + night.UTC().Format(time.RFC3339)
			if got := d.started(tool, before, "the backfilled night"); got != want {
				t.Errorf("the backfill started %s, want %s", got, want)
			}
		})
	}
	d.sh(line(t, "temporal", "workflow", "list", `"failed"'`))
}

// pause pauses and unpauses, and looks at what sync and a restart make of it.
func pause(t *testing.T, d *daemon, tool string) {
	t.Helper()
	d.sh(line(t, tool, "toggle", "--pause"))
	paused := nightly{ID: "smith-nightly", Paused: true, Note: "moving house"}
	if got := d.nightly(); got != paused {
		t.Fatalf("after the pause it is %+v, want %+v", got, paused)
	}
	var report struct {
		Created, Updated, Unchanged, Deleted []string
		Paused                               []struct{ ID, Note string }
	}
	out := d.sh("bin/triplicate schedules sync --json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Created)+len(report.Updated)+len(report.Deleted) > 0 || len(report.Unchanged) != 2 ||
		len(report.Paused) != 1 || report.Paused[0].Note != paused.Note {
		t.Errorf("sync touched something, or does not tell of the pause:\n%s", out)
	}
	d.stop()
	d.start()
	if got := d.nightly(); got != paused {
		t.Errorf("after sync and a restart it is %+v, want %+v", got, paused)
	}
	if out := d.sh(line(t, tool, "describe")); !strings.Contains(out, paused.Note) {
		t.Errorf("describe does not show the note:\n%s", out)
	}
	d.sh(line(t, tool, "toggle", "--unpause"))
	if got, want := d.nightly(), (nightly{ID: "smith-nightly", Note: "back"}); got != want {
		t.Errorf("after the unpause it is %+v, want %+v", got, want)
	}
}

// backfillOf puts the hours around a night into a line that names others.
func backfillOf(line string, night time.Time) string {
	at := []string{night.Add(-time.Hour).UTC().Format(time.RFC3339), night.Add(time.Hour).UTC().Format(time.RFC3339)}
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllStringFunc(line, func(string) string {
		first := at[0]
		at = at[1:]
		return first
	})
}
