//go:build lab

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestServiceOfSystemd is the way of the README's "On a real Smith", each line as it
// stands there: Debian's systemd, the shipped unit, the config that init writes, real
// OpenZFS. Then the unit is killed, stopped, and given a token as a credential.
func TestServiceOfSystemd(t *testing.T) {
	if os.Getenv("LAB_HOST") == "1" {
		t.Skip("this host has a systemd of its own")
	}
	simulated(t)
	stop(t)
	// Another tool copies here, too: a plain receive, which sets nothing.
	sh(t, `zfs snapshot nvme/personal@autosnap_1 && zfs send nvme/personal@autosnap_1 | zfs receive -u hdd/synced
		zfs snapshot nvme/personal@autosnap_2`)
	bootSystemd(t)
	t.Run("README, On a real Smith", func(t *testing.T) {
		for _, line := range block(t, "README.md", "## On a real Smith") {
			if line == "make build" {
				continue // what is in /repo/bin
			}
			typed(t, line)
		}
		const want = "dataset: hdd/synced, frequency: disabled } # another tool's copy of nvme/personal: "
		if got := inSystemd(t, "cat /etc/triplicate/triplicate.yaml"); !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("init does not see what another tool copies to:\n%s", got)
		}
	})
	t.Run("the unit is what it says", func(t *testing.T) { unit(t) })
	t.Run("killed in a night, it comes back and the night ends", func(t *testing.T) {
		before := mainPID(t)
		id, open := "", ""
		for range 5 { // a night with nothing but snapshots is short
			id = strings.TrimSpace(inSystemd(t, `date >/nvme/personal/now; triplicate run nightly --json | sed -n 's/.*"workflowId": *"\([^"]*\)".*/\1/p'`))
			open = inSystemd(t, "triplicate follow "+id+" >/dev/null 2>&1 & sleep 0.3; if kill $!; then echo open; systemctl kill --signal=KILL triplicated; fi 2>/dev/null")
			if open == "open\n" {
				break
			}
		}
		if open != "open\n" {
			t.Fatalf("every night had ended before the kill: %q", open)
		}
		out := inSystemd(t, "for i in $(seq 240); do triplicate schedules list >/dev/null 2>&1 && break; sleep 0.5; done; triplicate follow "+id+"; rc=$?; [ $rc = 0 ] || [ $rc = 3 ]")
		if after := mainPID(t); after == before {
			t.Errorf("process %s was killed, and still is there:\n%s", before, out)
		}
	})
	t.Run("a token that is a credential", func(t *testing.T) { credential(t) })
	t.Run("stopped and started", func(t *testing.T) {
		began := time.Now()
		for _, line := range []string{"systemctl stop triplicated", "systemctl start triplicated"} {
			if !strings.Contains(read(t, "docs/cluster.md"), "`"+line+"`") {
				t.Errorf("docs/cluster.md no longer says %s", line)
			}
			inSystemd(t, line)
			t.Logf("%s: after %s", line, time.Since(began).Round(time.Second))
		}
		if got := strings.TrimSpace(inSystemd(t, "systemctl show -P Result triplicated; for i in $(seq 240); do triplicate schedules list >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1")); got != "success" {
			t.Errorf("the unit's result is %q", got)
		}
	})
}

// bootSystemd boots it in the VM, with what a checkout has after make build in /repo.
func bootSystemd(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	built := exec.CommandContext(ctx, filepath.Join(root, "lab", "systemd"))
	built.Stderr = os.Stderr
	tar, err := built.Output()
	if err != nil {
		t.Fatalf("lab/systemd: %v", err)
	}
	push(t, strings.TrimSpace(string(tar)), "/opt/e2e")
	push(t, "testdata/boot-systemd", "/opt/e2e")
	for from, to := range map[string]string{"bin/triplicated": "bin", "bin/triplicate": "bin", "deploy/triplicated.service": "deploy", "docs": "."} {
		push(t, filepath.Join(root, from), filepath.Join("/opt/repo", to))
	}
	down := func() { // not with t's context, which is over when a test's cleanup runs
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, vmPath(), "exec", "--", "/opt/e2e/boot-systemd", "down").CombinedOutput(); err != nil {
			t.Errorf("boot-systemd down: %v\n%s", err, out)
		}
	}
	down()
	t.Cleanup(down)
	t.Logf("systemd is %s", strings.TrimSpace(sh(t, "mv /opt/e2e/systemd-*.tar /opt/e2e/systemd.tar; boot-systemd up; rc=$?; rm /opt/e2e/systemd.tar; exit $rc")))
}

// inSystemd runs a shell script where systemd is PID 1; it must succeed.
func inSystemd(t *testing.T, script string) string {
	t.Helper()
	out, err := vm(t, "exec", "--", "/opt/e2e/boot-systemd", "in", "bash", "-c", "cd /repo; "+script)
	if err != nil {
		log, _ := vm(t, "exec", "--", "/opt/e2e/boot-systemd", "in", "journalctl", "-q", "--no-pager", "-n", "25", "-u", "triplicated")
		t.Fatalf("%s: %v\n%s\nits journal:\n%s", script, err, out, log)
	}
	return out
}

// typed runs a line of the docs. What looks may end with a warning.
func typed(t *testing.T, line string) {
	t.Helper()
	began := time.Now()
	script := line
	if strings.Contains(line, "triplicate check") || strings.HasPrefix(line, "triplicate ") {
		script = "(" + line + "\n); rc=$?; [ $rc = 0 ] || [ $rc = 3 ]" // 3: there are warnings
	}
	out := inSystemd(t, script)
	t.Logf("%s  (%s)\n%s", line, time.Since(began).Round(time.Second), out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block are the lines of the first code block below a heading, without what
// explains them.
func block(t *testing.T, file, heading string) []string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, file), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %s", file, heading)
	}
	var typed []string
	for l := range strings.Lines(rest) {
		text, indented := strings.CutPrefix(l, "    ")
		switch {
		case indented:
			text, _, _ = strings.Cut(text, "  #")
			typed = append(typed, strings.TrimSpace(text))
		case len(typed) > 0:
			return typed
		}
	}
	return typed
}

func mainPID(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(inSystemd(t, "systemctl show -P MainPID triplicated"))
}

// unit checks what the shipped unit promises of the process it started.
func unit(t *testing.T) {
	for script, want := range map[string]string{
		"systemctl is-active triplicated; systemctl is-enabled triplicated": "active\nenabled\n",
		"stat -c '%a %U' /var/lib/triplicate":                               "700 root\n",
		"grep NoNewPrivs /proc/" + mainPID(t) + "/status":                   "NoNewPrivs:\t1\n",
		"find /var/lib/triplicate -type f -perm /077":                       "",
		"systemctl --failed --plain --no-legend | grep triplicate":          "",
		"journalctl -u triplicated | grep -c '\"ready\"'":                   "1\n",
	} {
		if got := inSystemd(t, "("+script+"\n) 2>&1 || true"); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

// credential takes Proxmox VE's token out of its file and gives it to the unit alone.
func credential(t *testing.T) {
	line := block(t, "docs/checks.md", "## secret")
	if len(line) != 1 || !strings.HasPrefix(line[0], "systemd-run ") {
		t.Fatalf("docs/checks.md, secret: %q", line)
	}
	inSystemd(t, `set -e
		install -m 400 /run/sim/pve.token /etc/triplicate/pve.token
		sed 's|{ file: /run/sim/pve.token }|{ credential: pve.token }|' /run/sim/config.yaml >>/etc/triplicate/triplicate.yaml
		grep -q 'credential: pve.token' /etc/triplicate/triplicate.yaml
		sed -i 's|^#LoadCredential=|LoadCredential=|' /etc/systemd/system/triplicated.service
		grep -q ^LoadCredential= /etc/systemd/system/triplicated.service
		systemctl daemon-reload; systemctl restart triplicated
		for i in $(seq 240); do triplicate schedules list >/dev/null 2>&1 && exit 0; sleep 0.5; done; exit 1`)
	outside := inSystemd(t, "triplicate check; [ $? = 3 ]")
	if !strings.Contains(outside, "systemd-run") {
		t.Errorf("outside the unit, check does not say how to run it inside:\n%s", outside)
	}
	inside := inSystemd(t, "("+line[0]+" 2>&1\n); rc=$?; [ $rc = 0 ] || [ $rc = 3 ]")
	if strings.Contains(inside, "systemd-run") || !strings.Contains(inside, "Proxmox VE") {
		t.Errorf("%s: Proxmox VE was not asked:\n%s", line[0], inside)
	}
	report := inSystemd(t, "triplicate run nightly --wait; rc=$?; [ $rc = 0 ] || [ $rc = 3 ] || [ $rc = 6 ]") // 6: offsite waits for an ack
	stage := slices.IndexFunc(lines(report), func(l string) bool { return strings.HasPrefix(strings.Join(strings.Fields(l), " "), "proxmox ok:") })
	if stage < 0 {
		t.Errorf("the guests were not backed up:\n%s", report)
	}
	// The unit mounts snapshots in a mount namespace of its own (ProtectKernelModules).
	report += inSystemd(t, "triplicate ack offsite --all && triplicate run offsite --wait; rc=$?; [ $rc = 0 ] || [ $rc = 3 ]")
	s := simState(t)
	if len(s.Vzdumps) != 6 || s.Puts == 0 {
		t.Errorf("%d guests were backed up, want 6: %v; %d objects put\n%s", len(s.Vzdumps), s.Vzdumps, s.Puts, report)
	}
}
