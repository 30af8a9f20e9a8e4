// Command demo shows Triplicate at work in a few minutes: pools with the user's
// datasets, simulated Proxmox and bucket, the real daemon; an hour, two nights, and
// a file restored from each copy.
//
//	DEMO_ZFS=host|vm|fake demo [--stay]
//
// Without DEMO_ZFS the pools are throw-away ones of this host, if it has ZFS, or of
// a small VM; where neither is possible it says why and uses the fake.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	// SIGHUP: the terminal is gone, and what was brought up must not stay.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	stay := flags.Bool("stay", false, "keep everything up afterwards, until Ctrl-C")
	root := flags.String("root", ".", "the repository's `folder`")
	built := flags.Bool("built", false, "everything is built already")
	_ = flags.Parse(os.Args[1:])
	b := builder{root: *root, built: *built, out: os.Stdout}
	if err := run(ctx, b, os.Getenv("DEMO_ZFS"), *stay, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run shows the whole story on the pools that there are.
func run(ctx context.Context, b builder, kind string, stay bool, out io.Writer) error {
	m, err := choose(ctx, b, kind, out)
	if err != nil {
		return err
	}
	defer m.close()
	s := &story{machine: m, out: out}
	if err := s.tell(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted; everything is taken down")
		}
		return errors.Join(err, m.problem())
	}
	if !stay {
		fmt.Fprintln(out, "everything is taken down now; make demo STAY=1 keeps it up, with its Web UI")
		return nil
	}
	fmt.Fprintf(out, "read the nights at %s; Ctrl-C takes everything down\n", m.web())
	<-ctx.Done()
	return nil
}

// machine is where the story happens.
type machine interface {
	// create makes filesystems, parents first, and volumes.
	create(ctx context.Context, filesystems, volumes []string) error
	// edit runs a shell script in a filesystem's folder and gives what it prints.
	edit(ctx context.Context, dataset, script string) ([]byte, error)
	// simulate starts Proxmox and the bucket, and tells the config of them.
	simulate(ctx context.Context) error
	// daemon starts triplicated and waits until it answers.
	daemon(ctx context.Context) error
	// triplicate runs the operator's command and gives its exit status.
	triplicate(ctx context.Context, out io.Writer, args ...string) (int, error)
	// folder makes an empty folder for what is restored.
	folder(ctx context.Context, name string) (string, error)
	// read reads a restored file.
	read(ctx context.Context, path string) ([]byte, error)
	// web is the address of the Web UI, as seen from here.
	web() string
	// problem is the end of the logs, for somebody who has to find out why.
	problem() error
	close()
}

// about says what is real and what is simulated, for each kind of pools.
var about = map[string]string{
	"host": "real: OpenZFS on this host, throw-away pools nvme and hdd (a mirror) from files, the daemon, the Temporal engine and its Web UI. " +
		"Simulated: Proxmox (3 nodes, 6 guests), the S3 bucket, and how long Glacier takes.",
	"vm": "real: OpenZFS in a small VM, its pools nvme and hdd (a mirror), the daemon, the Temporal engine and its Web UI. " +
		"Simulated: Proxmox (3 nodes, 6 guests), the S3 bucket, and how long Glacier takes.",
	"fake": "simulated: the pools (folders that behave as OpenZFS does, held to it by the same contract), Proxmox (3 nodes, 6 guests), " +
		"the S3 bucket, and how long Glacier takes. Real: the daemon, the Temporal engine and its Web UI.",
}

// choose finds pools for the story. The first line says what is real.
func choose(ctx context.Context, b builder, kind string, out io.Writer) (machine, error) {
	start := func(kind string) (machine, error) {
		fmt.Fprintln(out, about[kind])
		if kind == "fake" {
			return newFake(ctx, b)
		}
		return newLab(ctx, b, kind, out)
	}
	if kind != "" {
		if about[kind] == "" {
			return nil, fmt.Errorf("DEMO_ZFS=%s: want host, vm or fake", kind)
		}
		return start(kind)
	}
	kind = "vm"
	lacks := hostLacks()
	if lacks == nil {
		kind = "host"
	}
	m, err := start(kind)
	if kind == "host" && err != nil && ctx.Err() == nil {
		lacks = err
		m, err = start("vm")
	}
	if err == nil || ctx.Err() != nil {
		return m, err
	}
	fmt.Fprintf(out, "no pools on this host (%v) and no VM (%v), so the fake is used:\n", lacks, err)
	return start("fake")
}

// hostLacks says what this host has not that pools of its own need.
func hostLacks() error {
	if os.Getuid() != 0 {
		return errors.New("you are not root")
	}
	if _, err := os.Stat("/dev/zfs"); err != nil {
		return errors.New("ZFS is not loaded")
	}
	for _, p := range append(daemonPorts, simulatedPorts...) {
		if taken(p) {
			return fmt.Errorf("port %d is taken", p)
		}
	}
	return nil
}

// The ports of the daemon with its Web UI, and of the simulated servers.
var (
	daemonPorts    = []int{7233, 7234, 7235, 7236, 8233}
	simulatedPorts = []int{8006, 8016, 8026, 8007, 9000, 9600}
)

// taken says whether somebody listens on a port of the loopback.
func taken(port int) bool {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

// builder builds what a kind of pools needs, unless that was done.
type builder struct {
	root  string
	built bool
	out   io.Writer
}

func (b builder) make(ctx context.Context, targets ...string) error {
	if b.built {
		return nil
	}
	args := append([]string{"build", "make", "--no-print-directory", "-C", b.root}, targets...)
	cmd := exec.CommandContext(ctx, filepath.Join(b.root, ".ci", "timed"), args...)
	cmd.Stdout, cmd.Stderr = b.out, b.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make %s: %w", strings.Join(targets, " "), err)
	}
	return nil
}
