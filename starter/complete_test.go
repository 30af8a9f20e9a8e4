package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/internal/zfs/zfstest"
)

// tab is what a shell gets at a pressed tab: the answers, and the directive.
func (s *smith) tab(args ...string) (answers string, directive string) {
	s.t.Helper()
	got := s.must(exitOK, append([]string{"__complete", "--config", s.config}, args...)...)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	last := len(lines) - 1
	return strings.Join(lines[:last], " "), lines[last]
}

// TestCompletion: datasets, names of the config and runs that go on.
func TestCompletion(t *testing.T) {
	a := &answers{}
	for _, id := range []string{"smith-nightly-run-1", "jones-nightly-run-1"} {
		a.open = append(a.open, &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{WorkflowId: id}})
	}
	s := backedUp(t, everything+frontend(t, a))
	for name, tc := range map[string]struct {
		args            []string
		want, directive string
	}{
		"snapshots of":       {[]string{"snapshots", "nvme/"}, "nvme/personal nvme/personal/photos", ":4"},
		"only one":           {[]string{"snapshots", "nvme/personal", ""}, "", ":4"},
		"restore":            {[]string{"restore", "nvme/personal/p"}, "nvme/personal/photos/", ":6"},
		"restore from":       {[]string{"restore", "x", "--from", ""}, "snapshot replica aws", ":4"},
		"tier":               {[]string{"restore", "x", "--tier", "B"}, "Bulk", ":4"},
		"replica":            {[]string{"run", "replicate", ""}, "personal", ":4"},
		"no argument":        {[]string{"run", "nightly", ""}, "", ":4"},
		"ack retention":      {[]string{"ack", "retention", "hdd/b"}, "hdd/backups-data", ":4"},
		"ack offsite, twice": {[]string{"ack", "offsite", "hdd/data", "hdd/d"}, "", ":4"},
		"a run of ours":      {[]string{"follow", ""}, "smith-nightly-run-1", ":4"},
		"shells":             {[]string{"completion", "z"}, "zsh\tthe script for zsh", ":4"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, directive := s.tab(tc.args...); got != tc.want || directive != tc.directive {
				t.Errorf("%q %s, want %q %s", got, directive, tc.want, tc.directive)
			}
		})
	}
}

// TestCompletionKeepsQuiet: a shell must see neither errors nor a stall.
func TestCompletionKeepsQuiet(t *testing.T) {
	s := newSmith(t)
	s.zfs = blind{s.host}
	if got, _ := s.tab("snapshots", ""); got != "" {
		t.Errorf("pools that cannot be listed: %q", got)
	}
	if got, _ := s.tab("follow", ""); got != "" {
		t.Errorf("no server: %q", got)
	}
	s.write("nonsense: [")
	for _, args := range [][]string{{"snapshots", ""}, {"run", "replicate", ""}, {"restore", "x", "--from", ""}} {
		if got, _ := s.tab(args...); got != "" {
			t.Errorf("%v, without a config: %q", args, got)
		}
	}
}

// hung is a machine whose pools hang every command, until the test is over.
type hung struct {
	*zfstest.Host
	over chan struct{}
}

func (h hung) Datasets(context.Context, ...string) ([]backup.Dataset, error) {
	<-h.over
	return nil, nil
}

// TestCompletionDoesNotHang with a pool that hangs.
func TestCompletionDoesNotHang(t *testing.T) {
	s := newSmith(t)
	synctest.Test(t, func(t *testing.T) {
		h := hung{s.host, make(chan struct{})}
		s.zfs = h
		c := &cli{pools: s.pools, configPath: s.config}
		found, _ := c.completes(0, c.datasets)(c.command(), nil, "")
		if len(found) > 0 {
			t.Errorf("%v", found)
		}
		close(h.over)
		synctest.Wait()
	})
	if _, err := config.LoadFile(s.config); err != nil {
		t.Error(err)
	}
}

// TestCompletionScripts are ones that their shells can read, where they are there.
func TestCompletionScripts(t *testing.T) {
	s := newSmith(t)
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		got := s.must(exitOK, "completion", shell)
		if !strings.Contains(got.out, "__complete") || !strings.Contains(got.out, "triplicate") {
			t.Errorf("%s:\n%s", shell, got.out)
		}
		if path, err := exec.LookPath(shell); err == nil {
			cmd := exec.CommandContext(t.Context(), path, append(check, "/dev/stdin")...)
			cmd.Stdin = strings.NewReader(got.out)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", shell, err, out)
			}
		}
	}
}
