//go:build compose

package compose

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smith is a server with real OpenZFS, the lab VM, with simulated Proxmox and bucket.
type smith struct {
	run string // the VM's folder
}

// address is where the VM finds this host's loopback, and so the published port.
const address = "10.0.2.2:7233"

// boot boots it, with the user's datasets and a daemon that is told nothing new but
// temporal.address.
func boot(t *testing.T) *smith {
	t.Helper()
	m := &smith{run: filepath.Join(t.TempDir(), "lab")}
	m.vm(t, "up")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = m.command(ctx, "down").Run()
	})
	for _, bin := range []string{"triplicated", "triplicate", "sim"} {
		m.vm(t, "push", filepath.Join(root, "bin", bin), "/opt/compose")
	}
	m.vm(t, "push", filepath.Join(root, "demo", "smith.yaml"), "/etc/triplicate")
	m.sh(t, `mkdir -p /run/compose /var/lib
		for d in nvme/personal nvme/personal/photos nvme/vm nvme/data hdd/vm hdd/data \
			hdd/backups-data hdd/backups-vm; do zfs create $d; done
		for id in 101 102 110; do zfs create -s -V 8M nvme/vm/vm-$id-disk-0; done
		for id in 105 111 120; do zfs create nvme/vm/subvol-$id-disk-0; done
		for i in $(seq 20); do dd if=/dev/urandom of=/nvme/personal/photos/$i.jpg bs=100k count=1 2>/dev/null; done
		echo "dear diary" >/nvme/personal/diary
		dd if=/dev/urandom of=/nvme/data/film bs=1M count=4 2>/dev/null
		setsid sim -dir /run/sim -datastore /hdd/backups-vm -speed 4 </dev/null >/run/compose/sim.log 2>&1 &
		for i in $(seq 100); do [ -e /run/sim/config.yaml ] && break; sleep 0.2; done
		cat /etc/triplicate/smith.yaml /run/sim/config.yaml >/etc/triplicate/triplicate.yaml
		echo 'temporal: { address: "`+address+`" }' >>/etc/triplicate/triplicate.yaml
		setsid triplicated </dev/null >/run/compose/daemon.log 2>&1 &
		echo $! >/run/compose/pid
		for i in $(seq 120); do triplicate schedules list >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1`)
	return m
}

func (m *smith) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "lab", "vm"), args...)
	cmd.Env = append(cmd.Environ(), "LAB_RUN="+m.run)
	return cmd
}

// vm runs lab/vm, which must succeed.
func (m *smith) vm(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	out, err := m.command(ctx, args...).CombinedOutput()
	if err != nil {
		log, _ := m.command(ctx, "exec", "--", "tail", "-n", "15", "/run/compose/daemon.log").CombinedOutput()
		t.Fatalf("lab/vm %s: %v\n%s\ndaemon.log:\n%s", strings.Join(args, " "), err, out, log)
	}
	return string(out)
}

// sh runs a shell script in the VM, which must succeed.
func (m *smith) sh(t *testing.T, script string) string {
	t.Helper()
	return m.vm(t, "exec", "--", "sh", "-c", "export PATH=/opt/compose:$PATH TRIPLICATE_CONFIG=/etc/triplicate/triplicate.yaml\n"+script)
}

// start starts a night and returns its workflow ID.
func (m *smith) start(t *testing.T) string {
	t.Helper()
	var started struct {
		WorkflowID string `json:"workflowId"`
	}
	out := m.sh(t, "triplicate run nightly --json")
	if err := json.Unmarshal([]byte(out), &started); err != nil || started.WorkflowID == "" {
		t.Fatalf("start a night: %v in %s", err, out)
	}
	return started.WorkflowID
}

// follow waits for a run's end and gives its stages' outcomes. The server may go away
// and come back meanwhile.
func (m *smith) follow(t *testing.T, id string) map[string]string {
	t.Helper()
	var report struct {
		Outcome string
		Stages  []struct{ Stage, Outcome string }
	}
	out := m.sh(t, "triplicate follow --json "+id+"; rc=$?; [ $rc -le 3 ] || [ $rc = 6 ]")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("report of %s: %v in %s", id, err, out)
	}
	got := map[string]string{}
	for _, s := range report.Stages {
		got[s.Stage] = s.Outcome
	}
	t.Logf("%s: %s, %v", id, report.Outcome, got)
	return got
}

// await waits in the VM until a line of shell is true.
func (m *smith) await(t *testing.T, condition string) {
	t.Helper()
	m.sh(t, "for i in $(seq 600); do "+condition+" && exit 0; sleep 0.2; done; echo 'not within two minutes'; exit 1")
}

// seen is what the simulated servers have seen.
type seen struct {
	Vzdumps    map[string]int
	Versions   map[string]int
	Violations []string
}

// once reads it and checks that nothing was done twice: no guest asked for twice in a
// run, and none of the files called name put twice.
func (m *smith) once(t *testing.T, vzdumps int, name string, files int) {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(m.sh(t, "sim state")), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Vzdumps) != vzdumps {
		t.Errorf("%d vzdumps, want %d", len(s.Vzdumps), vzdumps)
	}
	for what, n := range s.Vzdumps {
		if n != 1 {
			t.Errorf("vzdump of %s was asked for %d times", what, n)
		}
	}
	put := 0
	for key, n := range s.Versions {
		if !strings.Contains(key, name) {
			continue
		}
		put++
		if n != 1 {
			t.Errorf("%s has %d versions", key, n)
		}
	}
	if put != files {
		t.Errorf("%d objects %s, want %d", put, name, files)
	}
	for _, v := range s.Violations {
		t.Errorf("a request that should not be: %s", v)
	}
}

// pid is the daemon's process in the VM.
func (m *smith) pid(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(m.sh(t, "pidof triplicated"))
}
