package pbstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bench is a server on a bench: asked without a network, its clock moved by hand.
type bench struct {
	*Server
	t     *testing.T
	store *Store
	mu    sync.Mutex
	at    time.Time
	takes time.Duration // of every task
}

const (
	admin = "triplicate@pbs!night:secret-a"
	saver = owner + ":secret-b"
)

func newBench(t *testing.T, conf Config, d Datastore) *bench {
	t.Helper()
	b := &bench{t: t, at: start}
	conf.Now = func() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.at }
	conf.Takes = func(string) time.Duration { b.mu.Lock(); defer b.mu.Unlock(); return b.takes }
	conf.Schema = VendorDir()
	if conf.Schema == "" {
		t.Log("NOT checked against the vendor's schema: no pbs-api.json (set TRIPLICATE_PROXMOX_API)")
	}
	var err error
	b.Server, err = New(conf)
	b.must(err)
	d.Name = "smith"
	b.store, err = b.AddDatastore(d)
	b.must(err)
	b.must(b.AddToken(admin, DatastoreAdmin, SystemAudit))
	b.must(b.AddToken(saver, DatastoreBackup))
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

// clean checks that nothing outside the vendor's API was asked or answered.
func (b *bench) clean() {
	b.t.Helper()
	for _, v := range b.Violations() {
		b.t.Error(v)
	}
}

// ask sends one request and gives status and body.
func (b *bench) ask(token, method, path string, form url.Values) (int, string) {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, base+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "PBSAPIToken="+token)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// data asks as the administrator and decodes the answer's data into out.
func (b *bench) data(method, path string, form url.Values, out any) {
	b.t.Helper()
	code, body := b.ask(admin, method, path, form)
	if code != http.StatusOK {
		b.t.Fatalf("%s %s: %d %s", method, path, code, body)
	}
	envelope := struct {
		Data any `json:"data"`
	}{out}
	b.must(json.Unmarshal([]byte(body), &envelope))
}

const smith = "/admin/datastore/smith"

// values makes a form of name=value words.
func values(words ...string) url.Values {
	v := url.Values{}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		v.Add(name, value)
	}
	return v
}

func TestTheGoldenPruneVectorsPassOverHTTP(t *testing.T) {
	if VendorDir() == "" {
		t.Skip("prune vectors NOT checked: no shared/proxmox-api (set TRIPLICATE_PROXMOX_API)")
	}
	data, err := os.ReadFile(filepath.Join(VendorDir(), "prune-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name, Timezone string
			Keep           map[string]int
			Snapshots      []struct {
				Epoch     int64
				Mark      string
				Protected bool
				Complete  *bool
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 13 {
		t.Errorf("%d vectors, want 13", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			zone, err := time.LoadLocation(v.Timezone)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, Config{Zone: zone}, Datastore{})
			want := map[int64]bool{}
			left := 0
			for _, s := range v.Snapshots {
				b.must(b.store.Add(backup.GuestBackup{
					Group: "vm/101", Time: time.Unix(s.Epoch, 0), Protected: s.Protected, Finished: s.Complete == nil || *s.Complete,
				}))
				if want[s.Epoch] = s.Mark != "remove"; want[s.Epoch] {
					left++
				}
			}
			form := values("backup-type=vm", "backup-id=101", "dry-run=1")
			for name, n := range v.Keep {
				form.Set(name, fmt.Sprint(n))
			}
			for _, dry := range []bool{true, false} {
				if !dry {
					form.Del("dry-run")
				}
				var rows []struct {
					At   int64 `json:"backup-time"`
					Keep bool  `json:"keep"`
				}
				b.data("POST", smith+"/prune", form, &rows)
				got := map[int64]bool{}
				for _, r := range rows {
					got[r.At] = r.Keep
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("dry run %v (-want +got):\n%s", dry, diff)
				}
			}
			if got := len(b.store.Backups()); got != left {
				t.Errorf("%d backups are left, want %d", got, left)
			}
			b.clean()
		})
	}
}

// TestEveryCallAnswersAsTheSchemaSays asks each call there is, with something to
// tell, and relies on the server's own check of its answers.
func TestEveryCallAnswersAsTheSchemaSays(t *testing.T) {
	b := newBench(t, Config{}, Datastore{GCSchedule: "daily"})
	for _, kind := range []string{"prune", "verify", "sync"} {
		b.AddJob(kind, Job{ID: "nightly", Store: "smith", Schedule: "02:30"})
	}
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start.AddDate(0, 0, -2), Finished: true, Verified: "ok", Notes: "web"}))
	b.must(b.store.Add(backup.GuestBackup{Group: "ct/105", Time: start.AddDate(0, 0, -1), Finished: true, Protected: true}))
	b.must(b.store.Namespace("lab").Add(backup.GuestBackup{Group: "vm/7", Time: start, Finished: true}))
	b.must(b.store.Begin("vm/101", start))
	b.store.SetMaintenance("", "")
	one := fmt.Sprintf("backup-type=vm&backup-id=101&backup-time=%d", start.AddDate(0, 0, -2).Unix())
	query, err := url.ParseQuery(one)
	b.must(err)
	var upid string
	b.takes = time.Hour
	b.data("POST", smith+"/gc", nil, &upid)
	b.takes = 0
	task := "/nodes/localhost/tasks/" + url.PathEscape(upid)
	for _, path := range []string{
		"/ping", "/version", "/status/datastore-usage", "/admin/datastore", "/config/datastore/smith", "/access/permissions?path=/system",
		"/config/prune", "/config/verify", "/config/sync",
		smith + "/status?verbose=1", smith + "/groups", smith + "/groups?ns=lab", smith + "/snapshots", smith + "/gc",
		smith + "/namespace?max-depth=2", smith + "/active-operations", smith + "/protected?" + one,
		"/nodes/localhost/tasks?limit=0", "/nodes/localhost/tasks?running=1&store=smith&typefilter=garbage", task + "/status", task + "/log?limit=0",
	} {
		b.data("GET", path, nil, new(any))
	}
	b.data("DELETE", task, nil, new(any))
	b.data("POST", smith+"/verify", query, new(any))
	b.data("POST", smith+"/verify", values("backup-type=ct", "backup-id=105"), new(any))
	b.data("POST", smith+"/verify", values("outdated-after=30", "max-depth=0"), new(any))
	b.data("POST", smith+"/prune", values("backup-type=vm", "backup-id=101", "keep-last=1", "use-task=1"), new(any))
	b.data("POST", smith+"/prune-datastore", values("keep-daily=3"), new(any))
	query.Set("protected", "1")
	b.data("PUT", smith+"/protected", query, new(any))
	b.data("PUT", "/config/datastore/smith", values(`maintenance-mode=type=offline,message="new disks, soon"`, "gc-schedule=hourly"), new(any))
	for _, path := range []string{"/status/datastore-usage", "/admin/datastore", "/config/datastore/smith"} {
		b.data("GET", path, nil, new(any))
	}
	b.data("PUT", "/config/datastore/smith", values("delete=maintenance-mode", "delete=gc-schedule"), new(any))
	b.data("GET", smith+"/gc", nil, new(any))
	b.clean()
	asked := map[string]bool{}
	for _, r := range b.Requests() {
		asked[r.Method+" "+r.Path] = r.Code == http.StatusOK
	}
	for _, r := range b.routes() {
		if !asked[r.method+" "+r.path] {
			t.Errorf("%s %s was not asked", r.method, r.path)
		}
	}
}

func TestServeServesUntilTheContextEnds(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Serve(ctx, "127.0.0.1:0") }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := b.Serve(t.Context(), "no address"); err == nil {
		t.Error("served at no address")
	}
}

func TestFaultsHealAndHangingTasksEnd(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	b.Fail(Fault{Path: "/version", Skip: 1, Times: -1, Code: 500, Text: "oops"})
	codes := func() (out []int) {
		for range 3 {
			code, _ := b.ask(admin, "GET", "/version", nil)
			out = append(out, code)
		}
		return out
	}
	if diff := cmp.Diff([]int{200, 500, 500}, codes()); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	b.Heal()
	if diff := cmp.Diff([]int{200, 200, 200}, codes()); diff != "" {
		t.Errorf("healed (-want +got):\n%s", diff)
	}
	b.Hang("garbage_collection")
	b.data("POST", smith+"/gc", nil, new(any))
	b.advance(100 * time.Hour)
	if code, body := b.ask(admin, "POST", smith+"/gc", nil); code != 400 || body != "garbage collection already running" {
		t.Errorf("a second one: %d %s", code, body)
	}
	b.Unhang("garbage_collection")
	b.data("POST", smith+"/gc", nil, new(any))
}

func TestWhoMayDoWhat(t *testing.T) {
	b := newBench(t, Config{}, Datastore{})
	delays := 0
	b.conf.Delay = func() { delays++ }
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/101", Time: start, Finished: true}))
	b.must(b.store.Add(backup.GuestBackup{Group: "vm/102", Time: start, Finished: true, Owner: "root@pam"}))
	b.RunTask("syncjob", "a:b:smith::x")
	for name, test := range map[string]struct {
		token, method, path string
		code                int
		text                string
	}{
		"nobody":                {"", "GET", "/version", 401, "authentication failed"},
		"a wrong secret":        {"triplicate@pbs!night:secret-b", "GET", "/version", 401, "authentication failed"},
		"anybody pings":         {"", "GET", "/ping", 200, `{"data":{"pong":true}}`},
		"the saver's own":       {saver, "GET", smith + "/snapshots", 200, `"backup-id":"101"`},
		"the saver may not gc":  {saver, "POST", smith + "/gc", 403, "permission check failed"},
		"nor see others' tasks": {saver, "GET", "/nodes/localhost/tasks", 200, `{"data":[],`},
	} {
		code, body := b.ask(test.token, test.method, test.path, nil)
		if code != test.code || !strings.Contains(body, test.text) || strings.Contains(body, `"102"`) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if delays != 2 {
		t.Errorf("%d delays, want 2", delays)
	}
	for _, r := range b.Requests() {
		if strings.Contains(fmt.Sprint(r), "secret") {
			t.Errorf("a secret is in the journal: %v", r)
		}
	}
	b.clean()
}
