package pvetest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pve/pvetest"
)

// Lines of the vendor's samples that the simulator does not have: what the guest's
// agent says, and what depends on settings.
var notSimulated = []string{"guest-agent", "set max number of entries", "qmp command 'backup' failed - got timeout"}

var (
	numbers = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+(\.[0-9]+)?`)
	texts   = regexp.MustCompile(`'[^']*'|maintenance mode: .*|/s|[A-Z][a-z]{2} [A-Z][a-z]{2} +# .*|[^ ]+@[^ ]+`)
	units   = regexp.MustCompile(`# [KMG]iB`)
)

// shape is a line without what differs from one night to the next.
func shape(line string) string {
	line = numbers.ReplaceAllString(line, "#")
	line = texts.ReplaceAllString(line, "x")
	line = units.ReplaceAllString(line, "# iB")
	if job, _, ok := strings.Cut(line, "new backup job:"); ok {
		return job
	}
	if name, _, ok := strings.Cut(line, " Name: "); ok {
		return name
	}
	return strings.TrimSpace(regexp.MustCompile(` +`).ReplaceAllString(line, " "))
}

// The simulator's logs have the lines of the vendor's, in their order.
func TestLogsLookLikeTheVendors(t *testing.T) {
	dir := pvetest.SchemaDir()
	if dir == "" {
		t.Skipf("no vendor data; set %s to its folder", pvetest.SchemaEnv)
	}
	b, err := os.ReadFile(filepath.Join(dir, "task-log-samples.json"))
	var file struct {
		Samples []struct {
			Name, Exitstatus string
			Lines            []string
		}
	}
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	readOnly := errors.New("read-only maintenance mode: offsite sync")
	bind := map[string]string{"rootfs": "nvme:subvol-105-disk-0", "mp0": "/media,mp=/media"}
	runs := map[string]struct {
		vmid  string
		twice bool
		begin error
		do    func(*testing.T, *lab)
		stop  bool
	}{
		"vm-incremental-ok": {vmid: "101", twice: true},
		"ct-incremental-ok": {vmid: "105", twice: true},
		"vm-locked":         {vmid: "101", do: func(_ *testing.T, l *lab) { l.Lock(101, "snapshot") }},
		"vm-qmp-timeout": {vmid: "101", do: func(_ *testing.T, l *lab) {
			l.Next(101, pvetest.Outcome{Fail: "VM 101 qmp command 'backup' failed - got timeout"})
		}},
		"storage-down":        {vmid: "101", begin: backup.ErrUnreachable},
		"datastore-read-only": {vmid: "101", begin: readOnly},
		"stopped-by-user":     {vmid: "101", stop: true},
		"lock-timeout": {vmid: "101", do: func(t *testing.T, l *lab) {
			l.Next(105, pvetest.Outcome{Hang: true})
			l.start(t, "smith", "vmid=105&storage=pbs-smith")
		}},
		"warnings": {vmid: "101", do: func(_ *testing.T, l *lab) {
			l.Next(101, pvetest.Outcome{Warn: []string{"unable to add notes - server returned an error"}})
		}},
	}
	for _, sample := range file.Samples {
		run, ok := runs[sample.Name]
		if !ok {
			continue
		}
		t.Run(sample.Name, func(t *testing.T) {
			l := newLab(t, pvetest.Config{
				Guests: []pvetest.Guest{guests[0], {VMID: 105, Name: "plex", Type: backup.Container, Config: bind, Size: 17511436910}},
				Begin:  func(string, time.Time) error { return run.begin },
			})
			if run.do != nil {
				run.do(t, l)
			}
			form := "vmid=" + run.vmid + "&lockwait=10&storage=pbs-smith&notes-template=x&remove=0"
			if run.twice {
				l.start(t, "smith", form)
				l.Advance(time.Hour)
			}
			id := l.start(t, "smith", form)
			if run.stop {
				l.Advance(time.Minute)
				l.ask(t, "DELETE", "/nodes/smith/tasks/"+id, "")
			}
			l.Advance(time.Hour)
			if got := strings.TrimPrefix(l.status(t, id), "stopped "); shape(got) != shape(sample.Exitstatus) {
				t.Errorf("exit status %q, want %q", got, sample.Exitstatus)
			}
			var got []string
			for _, line := range l.lines(t, id) {
				got = append(got, shape(line))
			}
			at := 0
			for _, line := range sample.Lines {
				if slices.ContainsFunc(notSimulated, func(s string) bool { return strings.Contains(line, s) }) {
					continue
				}
				i := slices.Index(got[at:], shape(line))
				if i < 0 {
					t.Errorf("not in the log after line %d: %s\nas        %s\nlog:\n%s", at, line, shape(line), strings.Join(got, "\n"))
					return
				}
				at += i
			}
		})
	}
}
