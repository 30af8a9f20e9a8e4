package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/workflows"
)

// beating is a pending activity with a heartbeat.
func beating(t *testing.T, details any) *workflowpb.PendingActivityInfo {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayloads(details)
	if err != nil {
		t.Fatal(err)
	}
	return &workflowpb.PendingActivityInfo{HeartbeatDetails: p}
}

// following is a follower of one run on a frontend.
func following(t *testing.T, a *answers, out *bytes.Buffer) *follower {
	t.Helper()
	s := newSmith(t, frontend(t, a))
	cfg, err := config.LoadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	tc, err := app.Dial(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tc.Close)
	run := tc.GetWorkflow(t.Context(), "smith-nightly-run-1", runID)
	return &follower{cli: &cli{out: out, now: func() time.Time { return s.now }}, tc: tc, cfg: cfg, run: run, shown: map[string]string{}}
}

// running is a report in which one stage goes on.
func running(stage backup.Stage) workflows.Report {
	return workflows.Report{Stages: []workflows.StageReport{{Stage: string(stage), Started: noon}}}
}

// TestProgressLines: off a terminal, each kind of long step is a plain line, once in
// half a minute.
func TestProgressLines(t *testing.T) {
	const gib = 1 << 30
	for name, tc := range map[string]struct {
		stage backup.Stage
		beat  any
		want  string
	}{
		"a replica":      {backup.StageReplicate, activities.Progress{Dataset: "nvme/personal", Kind: "full", Bytes: gib, Total: 4 * gib}, "  25 % nvme/personal full: 1.0 GiB of 4.0 GiB\n"},
		"offsite":        {backup.StageOffsite, activities.OffsiteProgress{Dataset: "hdd/data", Kind: "uploading", Bytes: 3 * gib, Total: 4 * gib, Objects: 120}, "  75 % hdd/data uploading: 3.0 GiB of 4.0 GiB, 120 objects\n"},
		"comparing":      {backup.StageOffsite, activities.OffsiteProgress{Dataset: "hdd/data", Kind: "comparing"}, "  hdd/data comparing\n"},
		"a guest":        {backup.StageProxmox, activities.DumpProgress{VMID: 101, Percent: 45, Bytes: 2 * gib}, "  45 % guest 101: 2.0 GiB\n"},
		"a verification": {backup.StageProxmox, activities.TaskProgress{UPID: "UPID:x", Last: "percentage done: 12.00%"}, "  Proxmox Backup Server: percentage done: 12.00%\n"},
		"nothing yet":    {backup.StageReplicate, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			a := &answers{reports: []any{running(tc.stage)}, pending: []*workflowpb.PendingActivityInfo{beating(t, tc.beat)}}
			f := following(t, a, &out)
			f.poll(t.Context())
			f.poll(t.Context()) // less than half a minute later
			_, lines, _ := strings.Cut(out.String(), "\n")
			want := tc.want
			// The run itself and the stage's known workflow both have it, on this server.
			if lines = strings.ReplaceAll(lines, want+want, want); lines != want {
				t.Errorf("it says %q, want %q", out.String(), want)
			}
			if strings.Contains(out.String(), "\r") || strings.Contains(out.String(), "\033") {
				t.Errorf("not plain: %q", out.String())
			}
		})
	}
}

// TestProgressOfChildren: a night's steps are its children's.
func TestProgressOfChildren(t *testing.T) {
	var out bytes.Buffer
	a := &answers{children: map[string][]string{"smith-nightly-run-1": {"smith-proxmox"}, "smith-proxmox": {"smith-guest-101"}}, only: "smith-guest-101"}
	a.pending = []*workflowpb.PendingActivityInfo{beating(t, activities.DumpProgress{VMID: 101, Percent: 5}), {HeartbeatDetails: &commonpb.Payloads{}}}
	f := following(t, a, &out)
	f.poll(t.Context())
	if out.String() != "  5 % guest 101: 0 B\n" {
		t.Errorf("it says %q", out.String())
	}
}

// TestBars: on a terminal the first that moves is a bar that the next line takes away.
func TestBars(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	f := &follower{cli: &cli{out: writer, isTerminal: func() bool { return true }}, shown: map[string]string{}}
	f.progress([]motion{{Dataset: "hdd/data", Kind: "comparing"}, {Dataset: "nvme/personal", Kind: "full", Bytes: 1 << 30, Total: 2 << 30}})
	f.stages(workflows.Report{Stages: []workflows.StageReport{{Stage: "replicate", Started: noon, Outcome: backup.OK}}})
	_ = writer.Close()
	got := new(bytes.Buffer)
	if _, err := got.ReadFrom(reader); err != nil {
		t.Fatal(err)
	}
	bar := "\r\033[K  [############............]  50 % nvme/personal full: 1.0 GiB of 2.0 GiB (and "
	if !strings.HasPrefix(got.String(), bar[:60]) || !strings.Contains(got.String(), "\r\033[Kreplicate") {
		t.Errorf("%q", got)
	}
}

// TestReportSaysWhatIsLeftOut: a bounded report is not taken for a whole one.
func TestReportSaysWhatIsLeftOut(t *testing.T) {
	var out bytes.Buffer
	f := &follower{cli: &cli{out: &out}, shown: map[string]string{}}
	f.stages(workflows.Report{Stages: []workflows.StageReport{{
		Stage: "replicate", Started: noon, Outcome: backup.Failed, More: 51, MoreWorst: backup.Warning,
		Items: []activities.Item{{Name: "nvme/a", Outcome: backup.Failed, Detail: "no"}},
	}}})
	if !strings.Contains(out.String(), "  failed nvme/a: no\n  and 51 more that the report has no room for, the worst warning\n") {
		t.Errorf("it says\n%s", out.String())
	}
}
