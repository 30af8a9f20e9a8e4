//go:build lab

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// simulated adds Proxmox and a bucket to smith: the simulated servers run in the VM
// beside the daemon, which is started anew with a config that reaches them.
func simulated(t *testing.T) {
	t.Helper()
	smith(t)
	stop(t)
	push(t, filepath.Join(root, "bin", "sim"), "/opt/e2e")
	sh(t, `pkill() { for p in $(pidof "$1"); do kill -9 $p; done; }
		pkill sim; rm -rf /run/sim /var/sim; mkdir -p /var/sim
		for id in 101 102 110; do zfs create -s -V 8M nvme/vm/vm-$id-disk-0; done
		for id in 105 111 120; do zfs create nvme/vm/subvol-$id-disk-0; done
		setsid sim -dir /run/sim -datastore /hdd/backups-vm -bucket /var/sim/bucket -speed 4 </dev/null >/run/e2e/sim.log 2>&1 &
		for i in $(seq 100); do [ -e /run/sim/config.yaml ] && break; sleep 0.2; done
		cat /run/sim/config.yaml >>/etc/triplicate/triplicate.yaml
		rm -f /run/e2e/stop /run/e2e/pid
		setsid /opt/e2e/supervise </dev/null >/dev/null 2>&1 &
		while [ ! -e /run/e2e/pid ]; do sleep 0.1; done`)
	awaitReady(t)
	t.Cleanup(func() { _, _ = try(t, "for p in $(pidof sim); do kill $p; done") })
}

// seen is what the simulated servers have seen.
type seen struct {
	Vzdumps    map[string]int
	Backups    map[string]int
	Versions   map[string]int
	Classes    map[string]int
	Puts       int
	Requests   int
	Violations []string
	Problem    string
}

func simState(t testing.TB) (s seen) {
	t.Helper()
	out := sh(t, "sim state")
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Problem != "" {
		t.Fatalf("sim state: %v %s\n%s", err, s.Problem, out)
	}
	return s
}

// once says whether nothing was done twice: no guest asked for twice in a run, no
// object put twice but those that changed.
func (s seen) once(t *testing.T, changed ...string) {
	t.Helper()
	for what, n := range s.Vzdumps {
		if n != 1 {
			t.Errorf("vzdump of %s was asked for %d times", what, n)
		}
	}
	for key, n := range s.Versions {
		if strings.HasPrefix(key, "smith/hdd/data/hdd/backups-vm/") {
			continue // the datastore's own files change every night
		}
		want := 1
		for _, c := range changed {
			if strings.HasSuffix(key, c) {
				want = 2
			}
		}
		if n > want {
			t.Errorf("%s has %d versions, want %d", key, n, want)
		}
	}
	for _, v := range s.Violations {
		t.Errorf("a request that should not be: %s", v)
	}
}

// data counts the objects that hold data.
func (s seen) data() (n int) {
	for key := range s.Versions {
		if strings.HasPrefix(key, "smith/hdd/data/") {
			n++
		}
	}
	return n
}

// outcomes are a report's stages and their outcomes.
func outcomes(report map[string]any) map[string]string {
	m := map[string]string{}
	stages, _ := report["stages"].([]any)
	for _, s := range stages {
		stage, _ := s.(map[string]any)
		name, _ := stage["stage"].(string)
		m[name], _ = stage["outcome"].(string)
	}
	return m
}
