//go:build lab

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the repository; tests run in their package's folder.
const root = ".."

// vmPath is lab/vm, or what stands in for it.
func vmPath() string {
	if path := os.Getenv("LAB_VM"); path != "" {
		return path
	}
	return filepath.Join(root, "lab", "vm")
}

// vm runs lab/vm.
func vm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, vmPath(), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// try runs a shell script in the VM and returns what it printed.
func try(t testing.TB, script string) (string, error) {
	t.Helper()
	return vm(t, "exec", "--", "sh", "-c", "export PATH=/opt/e2e:$PATH TRIPLICATE_CONFIG=/etc/triplicate/triplicate.yaml; "+script)
}

// sh is try that must succeed.
func sh(t testing.TB, script string) string {
	t.Helper()
	out, err := try(t, script)
	if err != nil {
		t.Fatalf("%s\n%s\n%v\n%s", script, out, err, lastLines(t))
	}
	return out
}

// lastLines is the end of the daemon's log, for a failed test's reader.
func lastLines(t testing.TB) string {
	out, _ := try(t, "grep -v dial /run/e2e/daemon.log | tail -n 15")
	return "daemon.log:\n" + out
}

// lines are the non-empty lines of out.
func lines(out string) []string {
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
}

// smith makes the user's datasets anew in the VM, with some files, and starts the
// daemon under a supervisor.
func smith(t *testing.T) {
	t.Helper()
	stop(t)
	for _, bin := range []string{"triplicated", "triplicate"} {
		push(t, filepath.Join(root, "bin", bin), "/opt/e2e")
	}
	push(t, "testdata/shim", "/opt/e2e")
	push(t, "testdata/supervise", "/opt/e2e")
	push(t, filepath.Join(root, "demo", "smith.yaml"), "/etc/triplicate")
	sh(t, `
		mv /etc/triplicate/smith.yaml /etc/triplicate/triplicate.yaml
		for p in nvme hdd; do
			for h in $(zfs list -H -o name -t snapshot -r $p | grep @); do
				zfs holds -H $h | while read -r n tag rest; do zfs release "$tag" "$n"; done
			done
			for d in $(zfs list -H -o name -d 1 -r $p | grep /); do zfs destroy -r $d; done
			for s in $(zfs list -H -o name -t snapshot -d 1 $p); do zfs destroy $s; done
			for n in $(zfs get -H -s local -o property all $p | grep ^triplicate:); do zfs inherit $n $p; done
		done
		rm -rf /var/lib/triplicate /run/e2e; mkdir -p /run/e2e /var/lib
		for d in nvme/personal nvme/personal/photos nvme/vm nvme/data hdd/vm hdd/data \
			hdd/backups-data hdd/backups-data/notes hdd/backups-vm; do zfs create $d; done
		zfs create -V 16M nvme/data/vol
		for i in $(seq 20); do dd if=/dev/urandom of=/nvme/personal/photos/$i.jpg bs=100k count=1 2>/dev/null; done
		for i in $(seq 10); do echo "letter $i" >/nvme/personal/$i.txt; done
		dd if=/dev/urandom of=/nvme/data/film bs=1M count=4 2>/dev/null
		setsid /opt/e2e/supervise </dev/null >/dev/null 2>&1 &
		while [ ! -e /run/e2e/pid ]; do sleep 0.1; done # or it would end with this shell`)
	awaitReady(t)
	t.Cleanup(func() { stop(t) })
}

func push(t *testing.T, src, dst string) {
	t.Helper()
	if out, err := vm(t, "push", src, dst); err != nil {
		t.Fatalf("push %s: %v\n%s", src, err, out)
	}
}

// stop ends the daemon and its supervisor.
func stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	script := `mkdir -p /run/e2e; touch /run/e2e/stop; [ ! -e /run/e2e/pid ] || kill -9 $(cat /run/e2e/pid) 2>/dev/null
		for i in $(seq 50); do pidof supervise triplicated >/dev/null || break; sleep 0.1; done; true`
	out, err := exec.CommandContext(ctx, vmPath(), "exec", "--", "sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("stop the daemon: %v\n%s", err, out)
	}
}

// awaitReady waits, in the VM, until the daemon says so.
func awaitReady(t testing.TB) {
	t.Helper()
	sh(t, `for i in $(seq 120); do triplicate schedules list >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1`)
}

// night runs a whole night by hand and gives its report. It waits by polling, so
// that a killed daemon does not end the wait.
func night(t testing.TB) (report map[string]any, id string) {
	t.Helper()
	out := sh(t, "triplicate run nightly --json --wait; rc=$?; [ $rc -le 3 ] || [ $rc = 6 ]")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("report: %v in %s", err, out)
	}
	return report, id
}

// points lists snapshots and bookmarks of a dataset and all below: name -> guid.
func points(t testing.TB, dataset string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, l := range lines(sh(t, "zfs list -Hp -t snapshot,bookmark -o name,guid -r "+dataset)) {
		if name, guid, ok := strings.Cut(l, "\t"); ok {
			m[name] = guid
		}
	}
	return m
}

// property reads a property and its source.
func property(t testing.TB, name, prop string) (value, source string) {
	t.Helper()
	out := strings.TrimSpace(sh(t, "zfs get -Hp -o value,source "+prop+" '"+name+"'"))
	value, source, _ = strings.Cut(out, "\t")
	return value, source
}

// replicas are the source and target of every dataset that the config copies.
var replicas = map[string]string{
	"nvme/personal":        "hdd/backups-data/personal",
	"nvme/personal/photos": "hdd/backups-data/personal/photos",
	"nvme/data":            "hdd/backups-data/data",
	"nvme/data/vol":        "hdd/backups-data/data/vol",
}

// newest is the name, after the @, of a dataset's newest snapshot.
func newest(t testing.TB, dataset string) string {
	t.Helper()
	all := lines(sh(t, "zfs list -Hp -t snapshot -o name -S createtxg -d 1 "+dataset))
	if len(all) == 0 {
		t.Fatalf("%s has no snapshot", dataset)
	}
	_, name, _ := strings.Cut(all[0], "@")
	return name
}

// content hashes what a filesystem's snapshot holds, mounted by name as offsite
// and restore do it: .zfs does not exist on an unmounted replica.
func content(t testing.TB, snapshot string) string {
	t.Helper()
	return sh(t, "d=$(mktemp -d) && mount -t zfs -o ro "+snapshot+" $d && cd $d && find . -type f | sort | xargs sha256sum; cd /; umount $d; rmdir $d")
}
