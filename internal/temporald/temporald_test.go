package temporald_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"triplicate/internal/temporald"
	"triplicate/internal/zaplog"
)

// freePort finds a port with free neighbours.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 20000 + os.Getpid()%20000; port < 60000; port += 7 {
		ok := true
		for i := range 5 {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", itoa(port+i)))
			if err != nil {
				ok = false
				break
			}
			_ = l.Close()
		}
		if ok {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func config(t *testing.T, dir string) temporald.Config {
	port := freePort(t)
	return temporald.Config{
		Dir: dir, Port: port, UIPort: port + 4, Namespace: "default", Retention: 100 * 24 * time.Hour,
		SearchAttributes: map[string]enumspb.IndexedValueType{"TriplicateHost": enumspb.INDEXED_VALUE_TYPE_KEYWORD},
		Logger:           zap.NewNop(),
	}
}

func start(t *testing.T, cfg temporald.Config) (*temporald.Server, client.Client) {
	t.Helper()
	s, err := temporald.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(client.Options{HostPort: s.Address(), Namespace: cfg.Namespace, Logger: zaplog.New(zap.NewNop())})
	if err != nil {
		s.Stop()
		t.Fatal(err)
	}
	return s, c
}

func hello(workflow.Context) (string, error) { return "hello", nil }

func TestEngine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	cfg := config(t, dir)
	s, c := start(t, cfg)
	w := worker.New(c, "q", worker.Options{})
	w.RegisterWorkflow(hello)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "first", TaskQueue: "q"}, hello)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := run.Get(t.Context(), &got); err != nil || got != "hello" {
		t.Fatalf("workflow = %q, %v", got, err)
	}

	t.Run("second instance", func(t *testing.T) {
		second := config(t, dir)
		_, err := temporald.Start(t.Context(), second)
		if !errors.Is(err, temporald.ErrSecondInstance) || !strings.Contains(err.Error(), itoa(os.Getpid())) {
			t.Errorf("Start = %v, want ErrSecondInstance with the pid", err)
		}
	})
	t.Run("taken port", func(t *testing.T) {
		other := config(t, filepath.Join(t.TempDir(), "other"))
		other.Port = cfg.Port
		_, err := temporald.Start(t.Context(), other)
		if !errors.Is(err, temporald.ErrPortTaken) || !strings.Contains(err.Error(), "temporal.port") {
			t.Errorf("Start = %v, want ErrPortTaken that says what to set", err)
		}
	})
	t.Run("web ui", func(t *testing.T) {
		if code := get(t, s.UIURL()+"/namespaces/default/workflows"); code != http.StatusOK {
			t.Errorf("status = %d, want 200", code)
		}
	})
	t.Run("only loopback", func(t *testing.T) {
		for _, addr := range listeners(t) {
			if !strings.HasPrefix(addr, "0100007F:") { // 127.0.0.1, little endian
				t.Errorf("listens on %s", addr)
			}
		}
	})
	t.Run("modes", func(t *testing.T) {
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "temporal.db"): 0o600} {
			fi, err := os.Stat(path)
			if err != nil || fi.Mode().Perm() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, fi.Mode().Perm(), err, want)
			}
		}
	})
	w.Stop()
	c.Close()
	s.Stop()

	// The same file again, with more retention and one more search attribute.
	cfg.Retention = 200 * 24 * time.Hour
	cfg.SearchAttributes["TriplicateBytes"] = enumspb.INDEXED_VALUE_TYPE_INT
	s, c = start(t, cfg)
	defer s.Stop()
	defer c.Close()
	if err := c.GetWorkflow(t.Context(), "first", "").Get(t.Context(), &got); err != nil || got != "hello" {
		t.Errorf("after restart = %q, %v", got, err)
	}
	d, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != cfg.Retention {
		t.Errorf("retention = %v, want %v", got, cfg.Retention)
	}
}

func TestSchemaOfAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir)
	s, c := start(t, cfg)
	c.Close()
	s.Stop()
	temporald.Alter(t, filepath.Join(dir, "temporal.db"), "CREATE TABLE from_the_future (x INTEGER)")
	_, err := temporald.Start(t.Context(), cfg)
	if !errors.Is(err, temporald.ErrSchema) || !strings.Contains(err.Error(), "mv ") {
		t.Errorf("Start = %v, want ErrSchema that says what to do", err)
	}
}

// get asks until the server listens; its listener starts a moment after Start.
func get(t *testing.T, url string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// listeners are the local addresses this process listens on, as in /proc/net/tcp.
func listeners(t *testing.T) []string {
	t.Helper()
	inodes := map[string]bool{}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			inodes[strings.Trim(link, "socket:[]")] = true
		}
	}
	var addrs []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, _ := os.ReadFile(table)
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && inodes[f[9]] {
				addrs = append(addrs, f[1])
			}
		}
	}
	if len(addrs) < 4 {
		t.Errorf("found %d listeners, want at least 4", len(addrs))
	}
	return addrs
}
