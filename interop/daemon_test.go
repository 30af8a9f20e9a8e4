//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is the repository; tests run in their package's folder.
const root = ".."

// daemon is a real triplicated with a database of its own, on a machine where no
// pool is imported: its runs wait for one until somebody cancels them.
type daemon struct {
	t       *testing.T
	dir     string
	address string
	clis    string // the folder of temporal and tctl
	ended   chan error
	cmd     *exec.Cmd
}

// newDaemon starts one on free ports, with the ZFS rows of the example.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	for _, bin := range []string{"triplicated", "triplicate"} {
		if _, err := os.Stat(filepath.Join(root, "bin", bin)); err != nil {
			t.Fatalf("first: make build (%v)", err)
		}
	}
	build := exec.CommandContext(t.Context(), "./clis")
	build.Stderr = os.Stderr
	clis, err := build.Output()
	if err != nil {
		t.Fatalf("build temporal and tctl: %v", err)
	}
	d := &daemon{t: t, dir: t.TempDir(), clis: strings.TrimSpace(string(clis))}
	port := freePorts(t, 5) // the engine's four, and the Web UI's
	d.address = fmt.Sprintf("127.0.0.1:%d", port)
	config := fmt.Sprintf("host: smith\ntimezone: Europe/Vienna\n%s\n%s\nstate_directory: %s\ntemporal: { port: %d, ui_port: %d }\n",
		block(t, "snapshots"), block(t, "replicas"), filepath.Join(d.dir, "state"), port, port+4)
	if err := os.WriteFile(d.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "zfs"), []byte(noPools), 0o700); err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) config() string { return filepath.Join(d.dir, "triplicate.yaml") }

func (d *daemon) log() string {
	data, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(data)
}

// block is one key of triplicate.example.yaml with all that is indented below it.
func block(t *testing.T, key string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "triplicate.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + key + `:\n(  .*\n)+`).Find(data)
	if found == nil {
		t.Fatalf("no %s in triplicate.example.yaml", key)
	}
	return string(found)
}

// noPools answers as zfs does where no pool is imported: the pools of the machine
// that the test runs on are none of its business.
const noPools = `#!/bin/sh
printf "cannot open '%s': dataset does not exist\n" nvme hdd >&2
exit 1
`

// freePorts is the first of n ports in a row that nobody listens on.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := 0
		for i := range n {
			port := 0
			if first > 0 {
				port = first + i
			}
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil {
				first = 0
				break
			}
			if first == 0 {
				first = l.Addr().(*net.TCPAddr).Port
			}
			_ = l.Close()
		}
		if first > 0 {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// start starts the daemon and waits until its schedules can be listed.
func (d *daemon) start() {
	d.t.Helper()
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	// It is ended by stop, also after the test's context is gone.
	d.cmd = exec.CommandContext(context.Background(), filepath.Join(root, "bin", "triplicated"), "-config", d.config())
	d.cmd.Env = []string{"PATH=" + d.dir + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + d.dir}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(d.cmd, d.ended)
	d.eventually("the daemon is ready", func() (bool, string) {
		out, err := d.run("bin/triplicate schedules list")
		return err == nil && strings.Contains(out, "smith-nightly"), out
	})
}

// stop ends the daemon as systemd does.
func (d *daemon) stop() {
	d.t.Helper()
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.ended:
		if err != nil {
			d.t.Errorf("the daemon ended with %v\n%s", err, d.log())
		}
	case <-time.After(time.Minute):
		_ = d.cmd.Process.Kill()
		d.t.Errorf("the daemon does not end\n%s", d.log())
	}
	d.cmd = nil
}

// run runs a line as an operator types it, in a shell that finds temporal, tctl
// and bin/triplicate and knows where the daemon is.
func (d *daemon) run(line string) (string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = root
	cmd.Env = []string{"PATH=" + d.clis + ":/usr/bin:/bin", "HOME=" + d.dir, "TRIPLICATE_CONFIG=" + d.config()}
	if !strings.Contains(line, "triplicate ") {
		// Not for our own command: it takes TEMPORAL_ADDRESS for somebody else's server.
		cmd.Env = append(cmd.Env, "TEMPORAL_ADDRESS="+d.address, "TEMPORAL_CLI_ADDRESS="+d.address)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// sh is run that must succeed.
func (d *daemon) sh(line string) string {
	d.t.Helper()
	out, err := d.run(line)
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	d.t.Logf("$ %s\n%s", line, out)
	return out
}

// eventually waits until ok, which also gives what it saw.
func (d *daemon) eventually(what string, ok func() (bool, string)) {
	d.t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		done, saw := ok()
		if done {
			return
		}
		select {
		case err := <-d.ended:
			d.ended <- err
			d.t.Fatalf("waiting until %s: the daemon ended: %v\n%s", what, err, d.log())
		case <-deadline:
			d.t.Fatalf("waiting until %s: out of time; last seen:\n%s\ndaemon:\n%s", what, saw, d.log())
		case <-tick.C:
		}
	}
}
