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
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	stay := flags.Bool("stay", false, "keep everything up afterwards, until Ctrl-C")
	root := flags.String("root", ".", "the repository's `folder`")
	_ = flags.Parse(os.Args[1:])
	if err := run(ctx, *root, os.Getenv("DEMO_ZFS"), *stay, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run shows the whole story on the pools that there are.
func run(ctx context.Context, root, kind string, stay bool, out io.Writer) error {
	m, err := choose(ctx, root, kind, out)
	if err != nil {
		return err
	}
	defer m.close()
	s := &story{machine: m, out: out}
	if err := s.tell(ctx); err != nil {
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
	// about says what is real and what is simulated.
	about() string
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
	// problem is the end of the daemon's log, for somebody who has to find out why.
	problem() error
	close()
}

// choose finds pools for the story.
func choose(ctx context.Context, root, kind string, out io.Writer) (machine, error) {
	switch kind {
	case "fake":
		return newFake(ctx, root, out)
	case "host", "vm":
		return newLab(ctx, root, kind, out)
	case "":
	default:
		return nil, fmt.Errorf("DEMO_ZFS=%s: want host, vm or fake", kind)
	}
	why := hostLacks()
	if why == nil {
		m, err := newLab(ctx, root, "host", out)
		if err == nil {
			return m, nil
		}
		why = err
	}
	fmt.Fprintf(out, "no throw-away pools on this host (%v): a small VM with OpenZFS is used instead\n", why)
	m, err := newLab(ctx, root, "vm", out)
	if err == nil {
		return m, nil
	}
	fmt.Fprintf(out, "no VM either (%v): the fake pools are used instead, folders that behave as ZFS does\n", err)
	return newFake(ctx, root, out)
}

// hostLacks says what this host has not that pools of its own need.
func hostLacks() error {
	if os.Getuid() != 0 {
		return errors.New("you are not root")
	}
	if _, err := os.Stat("/dev/zfs"); err != nil {
		return errors.New("ZFS is not loaded")
	}
	return nil
}
