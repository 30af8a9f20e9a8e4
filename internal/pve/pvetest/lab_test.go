package pvetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pin"
	"triplicate/internal/pve/pvetest"
)

// answer is what came back over the wire.
type answer struct {
	Status  string
	Body    string
	Data    json.RawMessage
	Total   int
	Message string
	Errors  map[string]string
}

// lab is a cluster with a plain HTTP client: what any other program would see.
type lab struct {
	*pvetest.Cluster
	http *http.Client
}

func newLab(t *testing.T, cfg pvetest.Config) *lab {
	t.Helper()
	c, err := pvetest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	l := &lab{c, pin.Client(5*time.Second, c.Fingerprints()...)}
	t.Cleanup(func() {
		l.http.CloseIdleConnections()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// ask sends a request with the default token.
func (l *lab) ask(t *testing.T, method, path, form string) (a answer) {
	t.Helper()
	return l.askAs(t, "PVEAPIToken="+pvetest.DefaultToken.Text(), method, path, form)
}

func (l *lab) askAs(t *testing.T, auth, method, path, form string) (a answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, l.URLs()[0]+"/api2/json"+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	resp, err := l.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatal(err)
		}
	}
	a.Status, a.Body = resp.Status, string(b)
	return a
}

func (l *lab) start(t *testing.T, node, form string) string {
	t.Helper()
	a := l.ask(t, "POST", "/nodes/"+node+"/vzdump", form)
	var id string
	if err := json.Unmarshal(a.Data, &id); err != nil || a.Status != "200 OK" {
		t.Fatalf("vzdump: %+v", a)
	}
	return id
}

func (l *lab) lines(t *testing.T, id string) (lines []string) {
	t.Helper()
	var rows []struct{ T string }
	node := backup.UPID(id).Node()
	if err := json.Unmarshal(l.ask(t, "GET", "/nodes/"+node+"/tasks/"+id+"/log?limit=0", "").Data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		lines = append(lines, r.T)
	}
	return lines
}

func (l *lab) status(t *testing.T, id string) string {
	t.Helper()
	var s struct{ Status, Exitstatus string }
	if err := json.Unmarshal(l.ask(t, "GET", "/nodes/"+backup.UPID(id).Node()+"/tasks/"+id+"/status", "").Data, &s); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(s.Status + " " + s.Exitstatus)
}

// guests are a VM and a container.
var guests = []pvetest.Guest{{VMID: 101, Name: "web", Size: 60 << 30, Dirty: 1288490188}, {VMID: 105, Name: "plex", Type: backup.Container}}

// modes are with the vendor's schema, where it is at hand, and without.
func modes(t *testing.T) map[string]string {
	m := map[string]string{"built in": ""}
	if dir := pvetest.SchemaDir(); dir != "" {
		m["vendor's schema"] = dir
	} else {
		t.Logf("the vendor's schema is absent; set %s to its folder", pvetest.SchemaEnv)
	}
	return m
}
