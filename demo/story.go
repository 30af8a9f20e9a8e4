package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// story is what happens, whatever the pools are.
type story struct {
	machine
	out io.Writer
}

// The user's datasets, and the disks of the simulated guests.
var (
	filesystems = []string{
		"nvme/personal", "nvme/personal/photos", "nvme/vm", "nvme/data", "hdd/vm", "hdd/data", "hdd/backups-data", "hdd/backups-vm",
		"nvme/vm/subvol-105-disk-0", "nvme/vm/subvol-111-disk-0", "nvme/vm/subvol-120-disk-0",
	}
	volumes = []string{"nvme/vm/vm-101-disk-0", "nvme/vm/vm-102-disk-0", "nvme/vm/vm-110-disk-0"}
)

// files are some hundred of them, made as any program would.
var files = []struct{ dataset, script string }{
	{"nvme/personal/photos", `for i in $(seq 1 150); do head -c $((20000 + i * 900)) /dev/urandom >$i.jpg; done`},
	{"nvme/personal", `echo "dear diary" >diary; for i in $(seq 1 80); do echo "letter $i" >letter-$i.txt; done`},
	{"nvme/data", `head -c 20000000 /dev/urandom >film.mkv; for i in $(seq 1 30); do echo "note $i" >note-$i; done`},
	{"hdd/data", `mkdir -p series; for i in $(seq 1 60); do head -c 50000 /dev/urandom >series/episode-$i.mkv; done`},
	{"hdd/vm", `for i in $(seq 1 4); do head -c 400000 /dev/urandom >image-$i.qcow2; done`},
}

// diary is the file that is restored.
const diary = "nvme/personal/diary"

// tell tells it.
func (s *story) tell(ctx context.Context) error {
	start := time.Now()
	for _, part := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Smith's datasets, with some hundred files", s.datasets},
		{"simulated Proxmox and a bucket; the daemon starts", s.start},
		{"what would tonight do?", s.say("plan", 0, 3, 6)},
		{"an hour passes", s.say("run hourly --wait", 0, 3)},
		{"the first night", s.say("run nightly --wait", 0, 3, 6)},
		{"the first offsite copy costs money, so it waits for a yes", s.yes},
		{"a day passes: files are changed, deleted and added", s.day},
		{"the second night copies only what is new", s.say("run nightly --wait", 0, 3)},
		{"what would survive if a disk died now?", s.say("status", 0, 3)},
		{"one file back from each copy", s.restores},
	} {
		s.title(part.title)
		if err := part.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
	}
	fmt.Fprintf(s.out, "\nthree copies, and one file back from each, in %s\n", time.Since(start).Round(time.Second))
	return nil
}

func (s *story) title(text string) {
	if f, ok := s.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		text = "\033[1m" + text + "\033[0m"
	}
	fmt.Fprintf(s.out, "\n== %s\n", text)
}

// say runs the operator's command, as it is typed, and wants one of these exit
// statuses.
func (s *story) say(line string, want ...int) func(context.Context) error {
	return func(ctx context.Context) error { return s.must(ctx, line, want...) }
}

func (s *story) must(ctx context.Context, line string, want ...int) error {
	fmt.Fprintln(s.out, "$ triplicate", line)
	code, err := s.triplicate(ctx, s.out, strings.Fields(line)...)
	if err != nil {
		return err
	}
	if !slices.Contains(want, code) {
		return fmt.Errorf("triplicate %s: exit status %d", line, code)
	}
	return nil
}

func (s *story) datasets(ctx context.Context) error {
	if err := s.create(ctx, filesystems, volumes); err != nil {
		return err
	}
	for _, f := range files {
		if _, err := s.edit(ctx, f.dataset, f.script); err != nil {
			return err
		}
		n, err := s.edit(ctx, f.dataset, `find . -type f | wc -l; du -sh . | cut -f1`)
		if err != nil {
			return err
		}
		count := strings.Fields(string(n))
		fmt.Fprintf(s.out, "%-22s %4s files, %s\n", f.dataset, count[0], count[1])
	}
	return nil
}

func (s *story) start(ctx context.Context) error {
	if err := s.simulate(ctx); err != nil {
		return err
	}
	if err := s.daemon(ctx); err != nil {
		return err
	}
	return s.must(ctx, "schedules list", 0)
}

func (s *story) yes(ctx context.Context) error {
	if err := s.must(ctx, "ack offsite --all", 0); err != nil {
		return err
	}
	return s.must(ctx, "run offsite --wait", 0, 3)
}

func (s *story) day(ctx context.Context) error {
	for _, e := range []struct{ dataset, script string }{
		{"nvme/personal", `echo "the second day" >>diary; rm letter-7.txt letter-8.txt`},
		{"nvme/personal/photos", `rm 13.jpg; for i in $(seq 151 165); do head -c 60000 /dev/urandom >$i.jpg; done`},
		{"hdd/data", `head -c 50000 /dev/urandom >series/episode-61.mkv`},
	} {
		if _, err := s.edit(ctx, e.dataset, e.script); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s: %s\n", e.dataset, e.script)
	}
	return nil
}

// restores brings the diary back from everywhere, and compares it byte by byte.
func (s *story) restores(ctx context.Context) error {
	want, err := s.edit(ctx, path.Dir(diary), "cat "+path.Base(diary))
	if err != nil {
		return err
	}
	for _, from := range []string{"snapshot", "replica", "aws"} {
		dir, err := s.folder(ctx, from)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("restore %s --from %s --to %s", diary, from, dir)
		if err := s.thawed(ctx, line); err != nil {
			return err
		}
		got, err := s.read(ctx, path.Join(dir, path.Base(diary)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("from %s came %q, want %q", from, got, want)
		}
		fmt.Fprintf(s.out, "equal, byte by byte (%d bytes)\n", len(got))
	}
	return nil
}

// thawed restores; from Glacier that is asked for twice. Its clock runs fast here.
func (s *story) thawed(ctx context.Context, line string) error {
	fmt.Fprintln(s.out, "$ triplicate", line)
	out := s.out
	for {
		code, err := s.triplicate(ctx, out, strings.Fields(line)...)
		const thawing = 5
		if err != nil || code == 0 {
			return err
		}
		if code != thawing {
			return fmt.Errorf("exit status %d", code)
		}
		out = &quiet{s.out}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// quiet leaves out what has been said: that it is still being thawed.
type quiet struct{ io.Writer }

func (q *quiet) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("being thawed")) {
		return len(p), nil
	}
	return q.Writer.Write(p)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
