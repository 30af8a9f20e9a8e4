//go:build compose

package compose

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/workflows"
)

// whole are the outcomes of a night in which everything went well.
var whole = map[string]string{
	"snapshot": "ok", "proxmox": "ok", "datastore": "ok", "replicate": "ok", "offsite": "ok", "prune": "ok",
}

// TestNightsOnTheCluster brings docker-compose.yml up as docs/cluster.md says and runs
// nights of a real Smith on it: one while its server and then its database are killed,
// one while all of it is taken down and up.
func TestNightsOnTheCluster(t *testing.T) {
	s := newStack(t)
	if out, err := s.try(t, "docker compose up -d --wait"); err == nil || !strings.Contains(out, "does not exist: "+s.dir+"/deploy/compose/secret/postgres.password") {
		t.Fatalf("without a password, up says: %v\n%s", err, out)
	}
	s.sh(t, "docker compose config -q && deploy/compose/password")
	first := s.sh(t, "cat deploy/compose/secret/postgres.password")
	s.sh(t, "deploy/compose/password")
	if s.password = s.sh(t, "cat deploy/compose/secret/postgres.password"); s.password != first || len(first) < 40 {
		t.Fatalf("the password was made twice, or is short (%d)", len(first))
	}
	t.Log(s.sh(t, "docker compose up -d --wait && docker compose ps -a"))
	t.Run("the jobs made all that the daemon needs", func(t *testing.T) { prepared(t, s) })
	t.Run("all ports are on the loopback", func(t *testing.T) {
		got := listeners(t)
		for _, want := range []string{"0100007F:1C41", "0100007F:2029"} { // 7233, 8233
			if !got[want] {
				t.Errorf("nobody listens on %s", want)
			}
		}
		for at := range got {
			if !strings.HasPrefix(at, "0100007F:") {
				t.Errorf("somebody listens on %s, which is not 127.0.0.1", at)
			}
		}
	})

	m := boot(t)
	daemon := m.pid(t)
	t.Run("the schedules are there, in the Web UI too", func(t *testing.T) {
		for _, id := range []string{"smith-nightly", "smith-hourly"} {
			m.await(t, "triplicate schedules list | grep -q "+id)
			if out := get(t, "http://127.0.0.1:8233/api/v1/namespaces/default/schedules"); !strings.Contains(out, id) {
				t.Errorf("no %s in the Web UI's:\n%s", id, out)
			}
		}
	})
	want := maps.Clone(whole)
	want["offsite"] = "needs approval"
	if diff := cmp.Diff(want, m.follow(t, m.start(t))); diff != "" {
		t.Fatalf("the first night (-want +got):\n%s", diff)
	}
	m.sh(t, "triplicate ack offsite --all && triplicate run offsite --wait; [ $? -le 3 ]")

	var killed string
	t.Run("server and database are killed in a night", func(t *testing.T) { killed = inANight(t, s, m) })
	t.Run("down and up lose nothing", func(t *testing.T) { downAndUp(t, s, m, killed) })
	t.Run("all of it comes back with the engine, as after a reboot", func(t *testing.T) {
		s.reboot(t)
		m.await(t, "triplicate schedules list | grep -q 'moving house'")
		get(t, "http://127.0.0.1:8233/api/v1/namespaces/default")
	})
	t.Run("the operator's lines of docs/cluster.md", func(t *testing.T) { operated(t, s, m) })
	t.Run("the password is where it must be, and nowhere else", func(t *testing.T) { noPassword(t, s) })
	if got := m.pid(t); got != daemon {
		t.Errorf("the daemon was process %s and is %s: it did not outlive the server's absence", daemon, got)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return string(data)
}

// prepared looks at the namespace before any daemon has seen it.
func prepared(t *testing.T, s *stack) {
	const temporal = "docker compose run --rm --no-deps --entrypoint temporal namespace "
	if out := s.sh(t, temporal+"operator namespace describe -n default"); !strings.Contains(out, "2160h") {
		t.Errorf("the namespace does not keep histories for 90 days:\n%s", out)
	}
	out := s.sh(t, temporal+"operator search-attribute list -n default -o json 2>/dev/null")
	var got struct {
		CustomAttributes map[string]any `json:"customAttributes"`
	}
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for name := range workflows.SearchAttributes() {
		if _, ok := got.CustomAttributes[name]; !ok {
			t.Errorf("no search attribute %s in %s", name, out)
		}
	}
	s.sh(t, "docker compose run --rm --no-deps --entrypoint temporal-server temporal validate-dynamic-config /etc/triplicate/dynamicconfig.yaml | tee /dev/stderr | { ! grep -E 'error|warning'; }")
}

// inANight kills the server while guests are backed up, and the database while objects
// go up. The night ends by itself and has done nothing twice.
func inANight(t *testing.T, s *stack, m *smith) string {
	m.sh(t, `for i in $(seq 60); do head -c 20000 /dev/urandom >/hdd/data/clip-$i; done; echo more >>/nvme/personal/diary`)
	id := m.start(t)
	m.await(t, `[ $(sim state | grep -c "triplicate-run=") -ge 8 ]`)
	s.kill(t, "temporal")
	m.await(t, `[ $(sim state | grep -c "hdd/data/@/clip-") -ge 5 ]`)
	s.kill(t, "postgres")
	if diff := cmp.Diff(whole, m.follow(t, id)); diff != "" {
		t.Errorf("the night (-want +got):\n%s", diff)
	}
	m.once(t, 12, "hdd/data/@/clip-", 60)
	m.sh(t, "triplicate replay "+id)
	return id
}

// downAndUp takes everything down in the middle of a night, and up again.
func downAndUp(t *testing.T, s *stack, m *smith, before string) {
	const temporal = "docker compose run --rm --no-deps --entrypoint temporal namespace "
	s.sh(t, temporal+`schedule toggle --schedule-id smith-nightly --pause --reason "moving house"`)
	schedules := m.sh(t, "triplicate schedules list --json")
	if !strings.Contains(schedules, "moving house") {
		t.Errorf("no pause in:\n%s", schedules)
	}
	m.sh(t, "triplicate replay --save /run/compose/before.json "+before)
	m.sh(t, "echo again >>/nvme/personal/diary; echo late >/hdd/data/late")
	id := m.start(t)
	m.await(t, `[ $(sim state | grep -c "triplicate-run=") -ge 14 ]`)
	s.sh(t, "docker compose down")
	if out := s.sh(t, "docker ps -aq"); out != "" {
		t.Errorf("down left containers: %s", out)
	}
	t.Log(s.sh(t, "docker compose up -d --wait && docker compose ps -a"))
	if diff := cmp.Diff(whole, m.follow(t, id)); diff != "" {
		t.Errorf("the night (-want +got):\n%s", diff)
	}
	m.once(t, 18, "hdd/data/@/late", 1)
	m.sh(t, "triplicate replay --save /run/compose/after.json "+before+" && cmp /run/compose/before.json /run/compose/after.json")
	for _, want := range []string{"moving house", "smith-hourly"} {
		if out := m.sh(t, "triplicate schedules list --json"); !strings.Contains(out, want) {
			t.Errorf("after up, no %q in:\n%s", want, out)
		}
	}
}

// operated runs what docs/cluster.md tells operators to type, as it stands there.
func operated(t *testing.T, s *stack, m *smith) {
	line := func(words string) string {
		for l := range strings.Lines(read(t, "docs", "cluster.md")) {
			if l, code := strings.CutPrefix(strings.TrimSpace(l), "docker compose "+words); code {
				return "docker compose " + words + l
			}
		}
		t.Fatalf("docs/cluster.md has no line docker compose %s", words)
		return ""
	}
	s.sh(t, line("exec -T postgres pg_dumpall")+` && zstd -dc temporal.sql.zst | grep -q 'CREATE DATABASE temporal_visibility'`)
	if out := s.sh(t, "docker compose run --rm --no-deps --entrypoint temporal namespace operator namespace update -n default --retention 4320h"+
		" && docker compose up -d --wait && docker compose run --rm --no-deps --entrypoint temporal namespace operator namespace describe -n default"); !strings.Contains(out, "4320h") {
		t.Errorf("a longer retention did not survive up:\n%s", out)
	}
	old := s.password
	s.sh(t, "deploy/compose/password --new")
	if s.password = s.sh(t, "cat deploy/compose/secret/postgres.password"); s.password == old {
		t.Error("the new password is the old one")
	}
	s.sh(t, "bash -c "+"'"+strings.ReplaceAll(line("exec -T postgres psql"), "'", `'\''`)+"'")
	s.sh(t, line("restart temporal")+" && docker compose up -d --wait")
	m.await(t, "triplicate schedules list | grep -q 'moving house'")
}

// noPassword looks for the password where docker, logs and processes show things. The
// server has it in its environment, which root and its own user can read: it takes
// it in no other way.
func noPassword(t *testing.T, s *stack) {
	for _, line := range []string{
		"docker inspect $(docker ps -aq)", "docker compose config", "docker compose logs", "docker volume inspect triplicate_postgres",
	} {
		if strings.Contains(s.sh(t, line), s.password) {
			t.Errorf("the password is in %s", line)
		}
	}
	if got := s.withSecret(t, "cmdline"); len(got) > 0 {
		t.Errorf("the password is in the arguments of %q", got)
	}
	if got, want := s.withSecret(t, "environ"), []string{"temporal-server"}; !slices.Equal(got, want) {
		t.Errorf("the password is in the environment of %q, want %q", got, want)
	}
	info, err := os.Stat(filepath.Join(s.dir, "deploy", "compose", "secret"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its folder: %v, %v", info.Mode(), err)
	}
}
