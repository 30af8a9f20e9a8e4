package pbstest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

func TestTheTaskListIsTheRealServers(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	b.takes = time.Hour
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
	b.data("POST", smith+"/verify", values("backup-type=vm", "backup-id=101", fmt.Sprintf("backup-time=%d", start.Unix())), new(any))
	b.data("POST", smith+"/verify", nil, new(any))
	b.advance(2 * time.Hour)
	b.data("POST", smith+"/gc", nil, new(any))
	b.RunTask("syncjob", "far:store:smith::in")
	b.RunTask("syncjob", "far:smith:other::in")
	b.RunTask("prunejob", "other")
	b.RunTask("aptupdate", "")
	for query, want := range map[string][]string{
		"":                          {"aptupdate", "prunejob", "syncjob", "syncjob", "garbage_collection", "verify", "verify_snapshot"},
		"running=1":                 {"aptupdate", "prunejob", "syncjob", "syncjob", "garbage_collection"},
		"store=smith":               {"syncjob", "garbage_collection", "verify", "verify_snapshot"},
		"typefilter=verify":         {"verify", "verify_snapshot"},
		"typefilter=job&running=1":  {"prunejob", "syncjob", "syncjob"},
		"limit=2":                   {"aptupdate", "prunejob"},
		"limit=0&start=5":           {"verify", "verify_snapshot"},
		"statusfilter=ok":           {"verify", "verify_snapshot"},
		"userfilter=triplicate":     {"garbage_collection", "verify", "verify_snapshot"},
		"since=1795354000&limit=50": {"aptupdate", "prunejob", "syncjob", "syncjob", "garbage_collection"},
	} {
		var rows []map[string]any
		b.data("GET", "/nodes/localhost/tasks?"+query, nil, &rows)
		var got []string
		for _, r := range rows {
			got = append(got, fmt.Sprint(r["worker_type"]))
			_, ended := r["endtime"]
			_, status := r["status"]
			if running := !strings.HasPrefix(fmt.Sprint(r["worker_type"]), "verify"); ended == running || status == running {
				t.Errorf("%s: %v", query, r)
			}
			if r["node"] != "localhost" || !strings.HasPrefix(fmt.Sprint(r["upid"]), "UPID:pbs:") {
				t.Errorf("%s: nodes of %v", query, r)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	b.clean()
}

func TestTheLogCountsFromOneAndSkipsWhatIsBelowStart(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	var upid string
	b.data("POST", smith+"/gc", nil, &upid)
	var all []struct {
		N int
		T string
	}
	path := "/nodes/localhost/tasks/" + upid + "/log"
	b.data("GET", path+"?limit=0", nil, &all)
	for query, want := range map[string][2]int{ // first line, lines
		"?start=0&limit=2": {1, 2}, "?start=1&limit=2": {1, 2}, "?start=2&limit=2": {2, 2}, "?start=3&limit=0": {3, len(all) - 2},
	} {
		got := all[:0:0]
		b.data("GET", path+query, nil, &got)
		if len(got) != want[1] || got[0].N != want[0] {
			t.Errorf("%s: %d lines from %d, want %d from %d", query, len(got), got[0].N, want[1], want[0])
		}
	}
}

func TestUPIDsAreEscaped(t *testing.T) {
	task := task{
		number: 1, node: "pbs", kind: "verify_snapshot", worker: "backups-vm:/vm/101/6740A1B2", user: "root@pam!t", started: start,
	}
	want := backup.UPID(`UPID:pbs:000002D1:000003B9:00000001:6B02D940:verify_snapshot:backups\x2dvm\x3a-vm-101-6740A1B2:root@pam!t:`)
	if got := task.upid(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestLogsHaveTheVendorsShape: each of our lines is one of the vendor's, but for
// numbers, units and names.
func TestLogsHaveTheVendorsShape(t *testing.T) {
	if VendorDir() == "" {
		t.Skip("log shapes NOT checked: no shared/proxmox-api (set TRIPLICATE_PROXMOX_API)")
	}
	data, err := os.ReadFile(filepath.Join(VendorDir(), "task-log-samples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Samples []struct {
			Name  string
			Lines []string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Config{}, Datastore{})
	for i := range 12 {
		b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, -i), Finished: true, Protected: i == 9}))
	}
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/102", Time: start, Finished: true}))
	b.store.Damage("vm/101", start)
	for name, form := range map[string]struct{ path, query string }{
		"pbs-prune":         {"/prune-datastore", "keep-daily=3"},
		"pbs-verify-failed": {"/verify", "ignore-verified=0"},
		"pbs-gc":            {"/gc", ""},
	} {
		i := slices.IndexFunc(file.Samples, func(s struct {
			Name  string
			Lines []string
		}) bool {
			return s.Name == name
		})
		if i < 0 {
			t.Fatalf("no sample %s", name)
		}
		var vendors []string
		for _, l := range file.Samples[i].Lines {
			vendors = append(vendors, lineShape(l))
		}
		var upid string
		f := values()
		if form.query != "" {
			f = values(form.query)
		}
		b.data("POST", smith+form.path, f, &upid)
		var lines []struct{ T string }
		b.data("GET", "/nodes/localhost/tasks/"+upid+"/log?limit=0", nil, &lines)
		for _, l := range lines {
			if strings.Contains(l.T, "snapshots in group #") {
				continue // in the vendor's source (store_progress.rs), in no sample
			}
			if !slices.Contains(vendors, lineShape(l.T)) {
				t.Errorf("%s: %q is no line of the vendor's:\n%s", name, lineShape(l.T), strings.Join(vendors, "\n"))
			}
		}
	}
}

// lineShape takes the numbers, sizes and the order of backups out of a line.
func lineShape(line string) string {
	line = regexp.MustCompile(`^\S+: `).ReplaceAllString(line, "")
	line = regexp.MustCompile(`--keep-\w+ \d+( --keep-\w+ \d+)*`).ReplaceAllString(line, "KEEP")
	line = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:]+Z`).ReplaceAllString(line, "TIME")
	line = regexp.MustCompile(`\d+(\.\d+)?( ([KMGT]i)?B\b)?`).ReplaceAllString(line, "#")
	return line
}
