package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"triplicate/internal/backup"
)

// TestWrongUsage ends with 2, a sentence, and where to read on.
func TestWrongUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown verb":            {"sttaus"},
		"unknown flag":            {"status", "--jsn"},
		"too many arguments":      {"status", "nvme"},
		"half a verb":             {"run"},
		"unknown second word":     {"run", "nightlyy"},
		"unknown schedules word":  {"schedules", "lst"},
		"unknown ack word":        {"ack", "retentoin", "nvme/personal"},
		"argument missing":        {"replay"},
		"replica missing":         {"run", "replicate"},
		"dataset of ack missing":  {"ack", "retention"},
		"two datasets":            {"snapshots", "nvme/personal", "hdd/data"},
		"flag without its value":  {"replay", "x", "--save"},
		"follow without a run ID": {"follow"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSmith(t)
			got := s.must(exitUsage, args...)
			if !strings.HasPrefix(got.err, "triplicate: ") || !strings.Contains(got.err, "\nnext: triplicate ") || !strings.HasSuffix(got.err, " --help\n") || got.out != "" {
				t.Errorf("stdout:\n%sstderr:\n%s", got.out, got.err)
			}
		})
	}
}

// TestOutputThatDoesNotArrive: a disk that is full is a failure with a text, in either
// form, whatever the verb would have ended with; it is no wrong usage.
func TestOutputThatDoesNotArrive(t *testing.T) {
	s := backedUp(t, frontend(t, nil))
	for _, args := range [][]string{
		{"status"}, {"status", "--json"}, {"plan"}, {"plan", "--json"}, {"snapshots"}, {"check"}, {"check", "--json"}, {"schedules", "list"},
		{"schema"}, {"version"}, {"init"}, {"run", "hourly"}, {"completion", "bash"}, {"--help"}, {"plan", "--help"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		var errOut strings.Builder
		c := &cli{out: full, errOut: &errOut, pools: s.pools, machine: s.machine, now: func() time.Time { return s.now }, system: &system{"smith", "UTC"}}
		code := c.run(t.Context(), append([]string{"--config", s.config}, args...))
		if err := full.Close(); err != nil {
			t.Fatal(err)
		}
		if code != exitFailed || !strings.Contains(errOut.String(), "no space left on device") || strings.Contains(errOut.String(), "--help") {
			t.Errorf("%v: ended with %d and said %q", args, code, errOut.String())
		}
	}
}

// TestWrongConfig ends with 7, whatever the verb, and points at the place.
func TestWrongConfig(t *testing.T) {
	s := newSmith(t)
	s.write(strings.Replace(rows, "frequency: hourly,", "frequency: hourley,", 1))
	for _, args := range [][]string{
		{"check"}, {"plan"}, {"status"}, {"snapshots"}, {"ack", "retention", "nvme/personal"},
		{"run", "nightly"}, {"follow", "x"}, {"schedules", "list"}, {"schedules", "sync"}, {"replay", "x"},
	} {
		got := s.must(exitConfig, args...)
		if !strings.Contains(got.err, "triplicate.yaml:6:") || !strings.Contains(got.err, "hourley") {
			t.Errorf("%v: stderr: %s", args, got.err)
		}
	}
	if err := os.Remove(s.config); err != nil {
		t.Fatal(err)
	}
	if got := s.must(exitConfig, "check"); !strings.Contains(got.err, s.config) {
		t.Errorf("stderr: %s", got.err)
	}
	s.must(exitOK, "version")
}

// TestErrorsAsJSON: with --json an error is one line of JSON, on stderr, that
// carries the exit status.
func TestErrorsAsJSON(t *testing.T) {
	s := newSmith(t)
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"snapshots", "nvme/typo", "--json"}, exitFailed, "nvme/typo"},
		{[]string{"schedules", "list", "--json"}, exitUnreachable, "is triplicated running?"},
		{[]string{"run", "replicate", "--json"}, exitUsage, "needs a REPLICA"},
	} {
		got := s.must(tc.code, tc.args...)
		var e struct {
			Error string `json:"error"`
			Exit  int    `json:"exit"`
		}
		if err := json.Unmarshal([]byte(got.err), &e); err != nil || e.Exit != tc.code || !strings.Contains(e.Error, tc.says) || got.out != "" {
			t.Errorf("%v: %v in %q, stdout %q; want exit %d and %q", tc.args, err, got.err, got.out, tc.code, tc.says)
		}
	}
}

// TestInterrupted ends with 130, as a shell expects.
func TestInterrupted(t *testing.T) {
	s := newSmith(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.triplicateIn(ctx, "schedules", "list"); got.code != exitInterrupted {
		t.Errorf("ended with %d, want %d\n%s", got.code, exitInterrupted, got.err)
	}
}

// TestHelpTeaches: each verb's help says what it does in full, how it is typed, and
// what each of its exit statuses means.
func TestHelpTeaches(t *testing.T) {
	s := newSmith(t)
	verbs := 0
	var teach func(cmd *cobra.Command)
	teach = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			teach(sub)
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		if cmd.Name() == "help" || len(path) == 0 {
			return
		}
		verbs++
		got := s.must(exitOK, append(path, "--help")...)
		for _, want := range []string{"EXIT STATUS", "0   done, and seen to be done", "2   wrong usage", "130 interrupted", "Examples:"} {
			if !strings.Contains(got.out, want) {
				t.Errorf("%s --help does not say %q:\n%s", strings.Join(path, " "), want, got.out)
			}
		}
		if _, known := verbExits[strings.Join(path, " ")]; !known && cmd.Runnable() && !cmd.HasSubCommands() {
			t.Errorf("%s: nobody says what it can end with", strings.Join(path, " "))
		}
		if long, _, _ := strings.Cut(cmd.Long, "EXIT STATUS"); len(long) < 50 {
			t.Errorf("%s --help explains only: %s", strings.Join(path, " "), long)
		}
	}
	teach((&cli{out: io.Discard, errOut: io.Discard}).command())
	if verbs < 20 {
		t.Errorf("only %d verbs", verbs)
	}
}

// TestColour: only on a terminal, and not where NO_COLOR says so (no-color.org).
func TestColour(t *testing.T) {
	s := newSmith(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	// The master's end of a pseudo-terminal is a terminal, too.
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tty.Close() }()
	for name, tc := range map[string]struct {
		cli     *cli
		noColor string
		want    string
	}{
		"on a terminal":           {&cli{out: tty}, "", "\033[31mfailed\033[0m"},
		"a terminal and NO_COLOR": {&cli{out: tty}, "1", "failed"},
		"into a file":             {&cli{out: file}, "", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tc.noColor)
			t.Setenv("TERM", "xterm")
			if got := tc.cli.paint(backup.Failed, "failed"); got != tc.want {
				t.Errorf("painted %q, want %q", got, tc.want)
			}
		})
	}
	for _, verb := range []string{"check", "plan", "status", "snapshots"} {
		if got := s.triplicate(verb); strings.Contains(got.out+got.err, "\033") {
			t.Errorf("%s: an escape sequence, not on a terminal:\n%q", verb, got.out)
		}
	}
}
