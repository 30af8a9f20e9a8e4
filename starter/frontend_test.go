package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
)

// TestRunStarts: each run gets its host's queue and an ID that says what it is.
func TestRunStarts(t *testing.T) {
	for verb, want := range map[string]struct{ workflow, id string }{
		"nightly":            {"Nightly", "smith-nightly-run-2"},
		"hourly":             {"Hourly", "smith-hourly-run-2"},
		"snapshot":           {"Nightly", "smith-snapshot-run-2"},
		"replicate personal": {"Replicate", "smith-replicate-personal"},
	} {
		t.Run(verb, func(t *testing.T) {
			a := &answers{started: make(chan *workflowservice.StartWorkflowExecutionRequest, 1)}
			s := newSmith(t, frontend(t, a))
			got := s.must(exitOK, append([]string{"run", "--json"}, strings.Fields(verb)...)...)
			var said struct{ WorkflowID, RunID string }
			if err := json.Unmarshal([]byte(got.out), &said); err != nil {
				t.Fatalf("%v in %s", err, got.out)
			}
			r := <-a.started
			if r.GetWorkflowType().GetName() != want.workflow || !strings.HasPrefix(r.GetWorkflowId(), want.id) ||
				r.GetTaskQueue().GetName() != "smith" || said.WorkflowID != r.GetWorkflowId() || said.RunID == "" {
				t.Errorf("started %s %s on %s and said %+v, want %s %s… on smith",
					r.GetWorkflowType().GetName(), r.GetWorkflowId(), r.GetTaskQueue().GetName(), said, want.workflow, want.id)
			}
		})
	}
}

// TestRunRefused: who is told what when a run does not start.
func TestRunRefused(t *testing.T) {
	busy := serviceerror.NewWorkflowExecutionAlreadyStarted("Workflow execution is already running", "", "")
	for name, tc := range map[string]struct {
		config string // "" : nothing listens
		args   []string
		code   int
		says   string
	}{
		"it runs already":     {frontend(t, &answers{start: busy}), []string{"run", "replicate", "personal"}, exitBusy, "smith-replicate-personal is running already"},
		"no such replica":     {frontend(t, nil), []string{"run", "replicate", "vm"}, exitUsage, `no replica "vm"; there are: personal`},
		"the server says no":  {frontend(t, &answers{start: serviceerror.NewPermissionDenied("no", "")}), []string{"run", "nightly"}, exitUnreachable, "start smith-nightly-run-"},
		"no server":           {"", []string{"run", "nightly"}, exitUnreachable, "systemctl status triplicated"},
		"no server, schedule": {"", []string{"schedules", "sync"}, exitUnreachable, "systemctl status triplicated"},
		"no server, follow":   {"", []string{"follow", "smith-nightly"}, exitUnreachable, "systemctl status triplicated"},
	} {
		t.Run(name, func(t *testing.T) {
			var more []string
			if tc.config != "" {
				more = []string{tc.config}
			}
			got := newSmith(t, more...).must(tc.code, tc.args...)
			if !strings.Contains(got.err, tc.says) || got.out != "" {
				t.Errorf("stdout %q, stderr %q; want %q", got.out, got.err, tc.says)
			}
		})
	}
}

// TestReplay: a recorded history replays without a server; what is none does not.
func TestReplay(t *testing.T) {
	s := newSmith(t)
	if got := s.must(exitOK, "replay", "../workflows/testdata/replay/prune-ok.json"); !strings.Contains(got.out, "replays: same steps") {
		t.Errorf("it says %s", got.out)
	}
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"events":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.must(exitFailed, "replay", broken); !strings.Contains(got.err, "does not replay") {
		t.Errorf("it says %s", got.err)
	}
	s.must(exitUnreachable, "replay", "smith-nightly-2026-11-25T00:30:00Z")
}
