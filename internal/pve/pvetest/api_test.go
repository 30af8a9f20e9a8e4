package pvetest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"triplicate/internal/pve/pvetest"
)

func TestErrorsAreInTheStatusLine(t *testing.T) {
	for mode, schema := range modes(t) {
		l := newLab(t, pvetest.Config{Guests: guests, Schema: schema})
		for name, test := range map[string]struct {
			auth, method, path, form string
			status                   string
			errors                   string // name of a parameter
		}{
			"unknown parameter":            {"", "POST", "/nodes/smith/vzdump", "vmid=101&maxfiles=3", "400 Parameter verification failed.", "maxfiles"},
			"unknown parameter in a query": {"", "GET", "/nodes?x=1", "", "400 Parameter verification failed.", "x"},
			"no such path":                 {"", "GET", "/nosuch", "", "501 Method 'GET /nosuch' not implemented", ""},
			"no such method":               {"", "PUT", "/nodes/smith/vzdump", "", "501 Method 'PUT /nodes/smith/vzdump' not implemented", ""},
			"no token":                     {"x", "GET", "/version", "", "401 No ticket", ""},
			"a wrong secret":               {"PVEAPIToken=triplicate@pve!backup=x", "GET", "/version", "", "401 Authentication failed!", ""},
			"an unknown node": {"", "GET", "/nodes/nosuch/tasks", "",
				"500 hostname lookup 'nosuch' failed - failed to get address info for: nosuch: Name or service not known", ""},
			"no such guest": {"", "GET", "/nodes/smith/qemu/999/pending", "", "500 Configuration file 'nodes/smith/qemu-server/999.conf' does not exist", ""},
			"only root":     {"", "POST", "/nodes/smith/vzdump", "vmid=101&script=/x", "400 Parameter verification failed.", "script"},
			"bwlimit needs Sys.Modify on /": {"", "POST", "/nodes/smith/vzdump", "vmid=101&bwlimit=1",
				"403 Permission check failed (/, Sys.Modify)", ""},
			"prune-backups needs more": {"", "POST", "/nodes/smith/vzdump", "vmid=101&storage=pbs-smith&prune-backups=keep-last%3D1",
				"403 Permission check failed (/storage/pbs-smith, Datastore.Allocate)", ""},
			"stop needs Sys.Modify":       {"", "POST", "/nodes/smith/vzdump", "vmid=101&stop=1", "403 Permission check failed (/nodes/smith, Sys.Modify)", ""},
			"vmid or all":                 {"", "POST", "/nodes/smith/vzdump", "storage=pbs-smith", "400 Parameter verification failed.", "vmid"},
			"vmid and all":                {"", "POST", "/nodes/smith/vzdump", "vmid=101&all=1", "400 Parameter verification failed.", "all"},
			"an unknown variable":         {"", "POST", "/nodes/smith/vzdump", "vmid=101&storage=pbs-smith&notes-template=%7B%7Bx%7D%7D", "400 Parameter verification failed.", "notes-template"},
			"a upid that is none":         {"", "GET", "/nodes/smith/tasks/x/status", "", "400 Parameter verification failed.", "upid"},
			"no such task":                {"", "GET", "/nodes/smith/tasks/UPID:smith:00000001:00000001:00000001:vzdump:101:root@pam:/status", "", "400 Parameter verification failed.", "upid"},
			"a storage that is not there": {"", "GET", "/nodes/smith/storage?storage=nosuch", "", "400 Parameter verification failed.", "storage"},
		} {
			auth := test.auth
			if auth == "" {
				auth = "PVEAPIToken=" + pvetest.DefaultToken.Text()
			}
			got := l.askAs(t, auth, test.method, test.path, test.form)
			if got.Status != test.status || (test.errors != "") != (len(got.Errors) == 1) || test.errors != "" && got.Errors[test.errors] == "" {
				t.Errorf("%s, %s: %s %v, want %s with %q", mode, name, got.Status, got.Errors, test.status, test.errors)
			}
			if noBody := strings.HasPrefix(test.status, "401"); noBody != (got.Body == "") {
				t.Errorf("%s, %s: body %q", mode, name, got.Body)
			}
		}
	}
}

func TestVendorsSchemaIsUsed(t *testing.T) {
	dir := pvetest.SchemaDir()
	if dir == "" {
		t.Skipf("no vendor data; set %s to its folder", pvetest.SchemaEnv)
	}
	l := newLab(t, pvetest.Config{Guests: guests, Schema: dir})
	for name, test := range map[string]struct{ form, param string }{
		"a boolean":                 {"vmid=101&remove=yes", "remove"},
		"an integer":                {"vmid=101&lockwait=soon", "lockwait"},
		"a minimum":                 {"vmid=101&lockwait=-1", "lockwait"},
		"an enumeration":            {"vmid=101&mode=fast", "mode"},
		"a length":                  {"vmid=101&storage=pbs-smith&notes-template=" + strings.Repeat("x", 1025), "notes-template"},
		"one parameter needs two":   {"vmid=101&notes-template=x", "storage"},
		"a format":                  {"vmid=101&storage=-x", "storage"},
		"a list of a format":        {"vmid=101,1", "vmid"},
		"a format made of others":   {"vmid=101&storage=pbs-smith&performance=max-workers%3D0", "performance"},
		"and of unknown properties": {"vmid=101&storage=pbs-smith&fleecing=speed%3D9", "fleecing"},
	} {
		got := l.ask(t, "POST", "/nodes/smith/vzdump", test.form)
		if got.Errors[test.param] == "" {
			t.Errorf("%s: %s %v, want an error of %s", name, got.Status, got.Errors, test.param)
		}
	}
	if n := len(l.Violations()); n != 10 {
		t.Errorf("%d violations, want each of them: %q", n, l.Violations())
	}
	if err := func() error { _, err := pvetest.New(pvetest.Config{Schema: t.TempDir()}); return err }(); err == nil {
		t.Error("a folder without the schema is as good as one with it")
	}
}

func TestFormsAreReadAsTheVendorReadsThem(t *testing.T) {
	l := newLab(t, pvetest.Config{Guests: guests})
	id := l.start(t, "smith", "vmid=101;storage=pbs-smith&notes-template=a=b&mailto=")
	if log := strings.Join(l.lines(t, id), "\n"); !strings.Contains(log, "--notes-template a --storage") || strings.Contains(log, "mailto") {
		t.Errorf("want the text after a bare = lost, and no mailto:\n%s", log)
	}
}

func TestTaskLists(t *testing.T) {
	l := newLab(t, pvetest.Config{Guests: guests})
	l.start(t, "smith", "vmid=101&storage=pbs-smith")
	count := func(query string) (rows int, total int) {
		t.Helper()
		a := l.ask(t, "GET", "/nodes/smith/tasks"+query, "")
		var list []map[string]any
		if err := json.Unmarshal(a.Data, &list); err != nil {
			t.Fatal(err)
		}
		for _, row := range list {
			if _, ended := row["endtime"]; ended == (row["status"] == "RUNNING") || row["user"] != "triplicate@pve" || row["tokenid"] != "backup" {
				t.Errorf("row %v", row)
			}
		}
		return len(list), a.Total
	}
	check := func(query string, want int) {
		t.Helper()
		if rows, total := count(query); rows != want || total != want {
			t.Errorf("tasks%s: %d rows, total %d; want %d", query, rows, total, want)
		}
	}
	check("", 0) // running ones are not in the archive
	check("?source=active", 1)
	check("?source=all&typefilter=vzdump&vmid=101", 1)
	check("?source=all&vmid=102", 0)
	l.Advance(time.Hour)
	check("", 1)
	check("?source=active", 0)
	check("?statusfilter=ok,warning", 1)
	check("?errors=1", 0)
	check("?until=1", 0)
	if rows, total := count("?limit=0"); rows != 0 || total != 1 {
		t.Errorf("limit=0: %d rows, total %d; want nothing of one", rows, total)
	}
}

// Every answer is checked against the vendor's schema as it goes out.
func TestAnswersFitTheSchema(t *testing.T) {
	for mode, schema := range modes(t) {
		l := newLab(t, pvetest.Config{Nodes: []string{"smith", "jones"}, Guests: guests, Schema: schema, Jobs: []pvetest.Job{{ID: "backup-1", Storage: "pbs-smith"}}})
		done := l.start(t, "smith", "vmid=101&storage=pbs-smith")
		l.Advance(time.Hour)
		l.start(t, "smith", "vmid=105&storage=pbs-smith&remove=0")
		for _, path := range []string{
			"/version", "/nodes/jones/version", "/nodes/localhost/version", "/cluster/status", "/cluster/resources", "/cluster/resources?type=vm", "/cluster/resources?type=node",
			"/cluster/backup", "/cluster/tasks", "/nodes", "/nodes/smith/qemu/101/pending", "/nodes/smith/lxc/105/pending", "/nodes/smith/storage?content=backup",
			"/storage", "/storage?type=pbs", "/nodes/smith/tasks?source=all", "/nodes/smith/tasks/" + done + "/status", "/nodes/smith/tasks/" + done + "/log?start=3&limit=2",
		} {
			if got := l.ask(t, "GET", path, ""); got.Status != "200 OK" || len(got.Data) < 3 {
				t.Errorf("%s, %s: %s %s", mode, path, got.Status, got.Body)
			}
		}
		for _, v := range l.Violations() {
			t.Errorf("%s: %s", mode, v)
		}
	}
}
