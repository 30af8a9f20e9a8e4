package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"triplicate/internal/zfs/zfstest"
	"triplicate/internal/zfs/zfstest/wire"
)

//go:embed smith.yaml
var smith string

// fake is pools that live in this process, with the real daemon and command beside
// it, built so that they ask it.
type fake struct {
	root, dir string
	host      *zfstest.Host
	stop      context.CancelFunc // of the pools
	shift     int                // of all simulated ports
	port, ui  int
	running   map[string]*process
}

// scene is what the fake needs of its test, and this is none.
type scene struct{ dir string }

func (s scene) Helper()           {}
func (s scene) Error(args ...any) { panic(fmt.Sprint(args...)) }
func (s scene) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
func (s scene) TempDir() string   { return s.dir }

// newFake makes pools in a folder of its own, and finds ports that are free.
func newFake(ctx context.Context, b builder) (*fake, error) {
	if err := b.make(ctx, "fake"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "triplicate-demo-")
	if err != nil {
		return nil, err
	}
	m := &fake{root: b.root, dir: dir, running: map[string]*process{}}
	if err := os.Mkdir(m.at("pools"), 0o700); err != nil {
		return nil, err
	}
	m.host = zfstest.New(scene{m.at("pools")}, "nvme", "hdd")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", m.at("zfs"))
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	go func() { _ = wire.Serve(serving, l, m.host) }()
	m.ports()
	return m, os.WriteFile(m.config(), []byte(m.settings()), 0o600)
}

// ports are the usual ones, or others if any of them is taken.
func (m *fake) ports() {
	for m.shift = 0; m.shift < 40000; m.shift += 1000 {
		busy := false
		for _, p := range append(daemonPorts, simulatedPorts...) {
			busy = busy || taken(p+m.shift)
		}
		if !busy {
			break
		}
	}
	m.port, m.ui = 7233+m.shift, 8233+m.shift
}

func (m *fake) at(name string) string { return filepath.Join(m.dir, name) }
func (m *fake) config() string        { return m.at("smith.yaml") }

func (m *fake) settings() string {
	return smith + fmt.Sprintf("state_directory: %s\ntemporal: { port: %d, ui_port: %d }\n", m.at("state"), m.port, m.ui)
}

// command is one of ours, with everything it needs to know in its environment.
func (m *fake) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "TRIPLICATE_CONFIG="+m.config(), "TRIPLICATE_FAKE_ZFS="+m.at("zfs"))
	return cmd
}

func (m *fake) bin(name string) string { return filepath.Join(m.root, "bin", "fake", name) }

func (m *fake) create(_ context.Context, filesystems, volumes []string) error {
	for _, name := range filesystems {
		m.host.MkDataset(name)
	}
	for _, name := range volumes {
		m.host.MkVolume(name)
	}
	return nil
}

func (m *fake) edit(ctx context.Context, dataset, script string) (out []byte, err error) {
	m.host.Edit(dataset, func(dir string) {
		cmd := exec.CommandContext(ctx, "sh", "-ec", script)
		cmd.Dir = dir
		out, err = cmd.CombinedOutput()
	})
	return out, saying(err, out)
}

func (m *fake) simulate(ctx context.Context) error {
	sim := filepath.Join(m.root, "bin", "sim")
	if err := m.begin(sim, "-dir", m.at("sim"), "-shift", strconv.Itoa(m.shift)); err != nil {
		return err
	}
	for {
		more, err := os.ReadFile(m.at("sim/config.yaml"))
		if err == nil {
			return os.WriteFile(m.config(), []byte(m.settings()+string(more)), 0o600)
		}
		if err := m.alive(ctx, "sim"); err != nil {
			return err
		}
	}
}

// alive waits a little, and says if a command that was begun has ended.
func (m *fake) alive(ctx context.Context, name string) error {
	if err := pause(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	select {
	case <-m.running[name].ended:
		return fmt.Errorf("%s ended: %s", name, m.tail(name))
	default:
		return nil
	}
}

func (m *fake) daemon(ctx context.Context) error {
	if err := m.begin(m.bin("triplicated")); err != nil {
		return err
	}
	for {
		if code, err := m.triplicate(ctx, io.Discard, "schedules", "list"); err == nil && code == 0 {
			return nil
		}
		if err := m.alive(ctx, "triplicated"); err != nil {
			return err
		}
	}
}

func (m *fake) triplicate(ctx context.Context, out io.Writer, args ...string) (int, error) {
	cmd := m.command(ctx, m.bin("triplicate"), args...)
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	var code *exec.ExitError
	if errors.As(err, &code) && ctx.Err() == nil {
		return code.ExitCode(), nil
	}
	return 0, err
}

func (m *fake) folder(_ context.Context, name string) (string, error) {
	dir := m.at("restored/" + name)
	return dir, os.MkdirAll(dir, 0o700)
}

func (m *fake) read(_ context.Context, path string) ([]byte, error) { return os.ReadFile(path) }

func (m *fake) web() string { return fmt.Sprintf("http://127.0.0.1:%d", m.ui) }

func (m *fake) tail(name string) string {
	log, _ := os.ReadFile(m.at(name + ".log"))
	lines := strings.Split(string(bytes.TrimSpace(log)), "\n")
	return strings.Join(lines[max(len(lines)-20, 0):], "\n")
}

func (m *fake) problem() error {
	return errors.New("the end of the simulated servers' log:\n" + m.tail("sim") + "\nthe end of the daemon's log:\n" + m.tail("triplicated"))
}

func (m *fake) close() {
	m.end("triplicated", syscall.SIGTERM)
	m.end("sim", syscall.SIGTERM)
	m.stop()
	_ = os.RemoveAll(m.dir)
}
