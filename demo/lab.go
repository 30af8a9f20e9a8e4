package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lab is real OpenZFS: throw-away pools of this host, or of a small VM.
type lab struct {
	root, kind, run string
	port            int // of the Web UI, here
}

const labConfig = "/etc/triplicate/smith.yaml"

// newLab brings pools up and puts what is needed beside them.
func newLab(ctx context.Context, b builder, kind string, out io.Writer) (machine, error) {
	if err := b.make(ctx, "build", "sim"); err != nil {
		return nil, err
	}
	m := &lab{root: b.root, kind: kind, run: filepath.Join(cache(), "lab", "demo"), port: 8233}
	if run := os.Getenv("LAB_RUN"); run != "" {
		m.run = run
	}
	_ = m.verb(ctx, nil, io.Discard, "down") // of a demo that was killed
	if err := m.fill(ctx, out); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// fill boots, and brings in our binaries and the config. The Web UI has the same
// port inside and here.
func (m *lab) fill(ctx context.Context, out io.Writer) error {
	if err := m.verb(ctx, nil, out, "up"); err != nil {
		return err
	}
	for _, f := range []string{"bin/triplicated", "bin/triplicate", "bin/sim"} {
		if err := m.verb(ctx, nil, out, "push", filepath.Join(m.root, f), "/opt/triplicate"); err != nil {
			return err
		}
	}
	for m.kind == "vm" && taken(m.port) {
		m.port++
	}
	var said bytes.Buffer
	err := m.verb(ctx, strings.NewReader(smith+fmt.Sprintf("temporal: { ui_port: %d }\n", m.port)), &said,
		"exec", "--", "sh", "-ec", "mkdir -p "+filepath.Dir(labConfig)+"; cat >"+labConfig)
	return saying(err, said.Bytes())
}

// cache is where what is built once is kept.
func cache() string {
	if dir := os.Getenv("TRIPLICATE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "triplicate")
}

// verb runs a verb of lab/vm, or of lab/host.
func (m *lab) verb(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	script := "vm"
	if m.kind == "host" {
		script = "host"
	}
	cmd := exec.CommandContext(ctx, filepath.Join(m.root, "lab", script), args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, io.MultiWriter(out, &said)
	cmd.Env = append(os.Environ(), "LAB_RUN="+m.run, "LAB_HOST=")
	err := cmd.Run()
	var code *exec.ExitError
	if errors.As(err, &code) && args[0] != "exec" {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return errors.New(lines[len(lines)-1])
	}
	return err
}

// sh runs a shell script beside the pools.
func (m *lab) sh(ctx context.Context, out io.Writer, script string) error {
	return m.verb(ctx, nil, out, "exec", "--", "sh", "-ec",
		"export PATH=/opt/triplicate:$PATH TRIPLICATE_CONFIG="+labConfig+"\n"+script)
}

func (m *lab) create(ctx context.Context, filesystems, volumes []string) error {
	var out bytes.Buffer
	err := m.sh(ctx, &out, fmt.Sprintf("for d in %s; do zfs create $d; done\nfor v in %s; do zfs create -s -V 8M $v; done",
		strings.Join(filesystems, " "), strings.Join(volumes, " ")))
	return saying(err, out.Bytes())
}

// saying adds what a command printed to its error.
func saying(err error, out []byte) error {
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (m *lab) edit(ctx context.Context, dataset, script string) ([]byte, error) {
	var out bytes.Buffer
	err := m.sh(ctx, &out, "cd /"+dataset+"\n"+script)
	return out.Bytes(), saying(err, out.Bytes())
}

func (m *lab) simulate(ctx context.Context) error {
	return m.sh(ctx, io.Discard, `setsid sim -dir /run/sim -datastore /hdd/backups-vm </dev/null >/run/sim.log 2>&1 &
		for i in $(seq 100); do [ ! -e /run/sim/config.yaml ] || break; sleep 0.2; done
		cat /run/sim/config.yaml >>$TRIPLICATE_CONFIG`)
}

func (m *lab) daemon(ctx context.Context) error {
	err := m.sh(ctx, io.Discard, `mkdir -p /var/lib; setsid triplicated </dev/null >/run/triplicated.log 2>&1 &
		for i in $(seq 120); do ! triplicate schedules list >/dev/null 2>&1 || exit 0; sleep 0.5; done; exit 1`)
	if err != nil || m.kind == "host" {
		return err
	}
	port := strconv.Itoa(m.port)
	return m.verb(ctx, nil, io.Discard, "forward", port, port)
}

func (m *lab) triplicate(ctx context.Context, out io.Writer, args ...string) (int, error) {
	err := m.sh(ctx, out, "exec triplicate "+strings.Join(args, " "))
	var code *exec.ExitError
	if errors.As(err, &code) {
		return code.ExitCode(), nil
	}
	return 0, err
}

func (m *lab) folder(ctx context.Context, name string) (string, error) {
	dir := "/run/restored/" + name
	return dir, m.sh(ctx, io.Discard, "mkdir -p "+dir)
}

func (m *lab) read(ctx context.Context, path string) ([]byte, error) {
	var out bytes.Buffer
	err := m.sh(ctx, &out, "cat "+path)
	return out.Bytes(), saying(err, out.Bytes())
}

func (m *lab) web() string { return fmt.Sprintf("http://127.0.0.1:%d", m.port) }

func (m *lab) problem() error {
	var out bytes.Buffer
	_ = m.sh(context.Background(), &out, "for log in sim triplicated; do echo \"the end of $log.log:\"; tail -n 15 /run/$log.log; done 2>&1")
	return errors.New(out.String())
}

func (m *lab) close() { _ = m.verb(context.Background(), nil, io.Discard, "down") }
