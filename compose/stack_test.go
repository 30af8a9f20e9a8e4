//go:build compose

package compose

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stack is docker-compose.yml as shipped, with the files that it mounts, in a folder
// of its own.
type stack struct {
	dir      string
	password string
}

// newStack copies the shipped files; a password of this checkout is not among them.
func newStack(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("COMPOSE_ENGINE") == "" {
		t.Fatal("this wants compose/engine around it: make compose")
	}
	s := &stack{dir: t.TempDir()}
	copyFile(t, filepath.Join(root, "docker-compose.yml"), filepath.Join(s.dir, "docker-compose.yml"))
	err := filepath.WalkDir(filepath.Join(root, "deploy", "compose"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "secret":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		copyFile(t, path, filepath.Join(s.dir, "deploy", "compose", d.Name()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "docker", "compose", "down", "-v")
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("down -v: %v\n%s", err, out)
		}
	})
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// try runs a shell line where docker-compose.yml is.
func (s *stack) try(t *testing.T, line string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// sh is try that must succeed.
func (s *stack) sh(t *testing.T, line string) string {
	t.Helper()
	out, err := s.try(t, line)
	if err != nil {
		logs, _ := s.try(t, "docker compose ps -a; docker compose logs --tail 15 | cut -c1-300")
		t.Fatalf("%s: %v\n%s\n%s", line, err, out, logs)
	}
	return out
}

// pid is the process, out here, that a service's container runs as its first.
func (s *stack) pid(t *testing.T, service string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(s.sh(t, "docker inspect -f '{{.State.Pid}}' $(docker compose ps -q "+service+")")))
	if err != nil || pid < 2 {
		t.Fatalf("process of %s: %d, %v", service, pid, err)
	}
	return pid
}

// kill ends a service's process as a crash does, and waits until the restart policy
// has brought it back. (After docker kill it would stay down: that is an operator's.)
func (s *stack) kill(t *testing.T, service string) {
	t.Helper()
	before := s.pid(t, service)
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	s.sh(t, `for i in $(seq 240); do
		c=$(docker compose ps -q `+service+`)
		[ "$(docker inspect -f '{{.State.Health.Status}} {{.State.Pid}}' $c)" = "healthy $(docker inspect -f '{{.State.Pid}}' $c)" ] &&
			[ "$(docker inspect -f '{{.State.Pid}}' $c)" != `+strconv.Itoa(before)+` ] && exit 0
		sleep 0.5
	done; exit 1`)
	t.Logf("%s, killed with -9, was healthy again after %s", service, time.Since(killed).Round(100*time.Millisecond))
}

// reboot ends the Docker engine, which stops everything, and starts it again. Nobody
// runs up: only the restart policies bring things back, in whatever order.
func (s *stack) reboot(t *testing.T) {
	t.Helper()
	engine := os.Getenv("COMPOSE_ENGINE")
	pidfile, err := os.ReadFile(filepath.Join(engine, "docker.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(pidfile))
	cmdline, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	s.sh(t, "kill "+pid+"; for i in $(seq 600); do [ -e "+engine+"/docker.pid ] || exit 0; sleep 0.1; done; exit 1")
	log, err := os.OpenFile(filepath.Join(engine, "log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	// It outlives the test; compose/engine ends it.
	cmd := exec.CommandContext(context.Background(), args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	began := time.Now()
	s.sh(t, `for i in $(seq 240); do
		[ "$(docker ps --format '{{.Names}}' --filter health=healthy | sort | xargs)" = "triplicate-postgres-1 triplicate-temporal-1 triplicate-ui-1" ] && exit 0
		sleep 0.5
	done; exit 1`)
	t.Logf("all healthy %s after the engine's start", time.Since(began).Round(100*time.Millisecond))
}

// withSecret are the names of the running programs whose file, cmdline or environ,
// has the password in it.
func (s *stack) withSecret(t *testing.T, file string) []string {
	t.Helper()
	var found []string
	paths, err := filepath.Glob("/proc/[0-9]*/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), s.password) {
			continue // it has ended meanwhile, or has none
		}
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		found = append(found, strings.TrimSpace(string(comm)))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// listeners are the addresses of this network's listening sockets, as the kernel
// writes them: 0100007F is 127.0.0.1.
func listeners(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, path := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == "0A" {
				found[f[1]] = true
			}
		}
	}
	return found
}
