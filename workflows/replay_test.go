package workflows_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/worker"

	"triplicate/workflows"
)

// TestReplay replays every recorded history: a change to a workflow that would
// take other steps in a run under way fails here. lab/record makes them.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		kind, _, _ := strings.Cut(name, "-")
		recorded[kind] = true
		t.Run(name, func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			workflows.Register(replayer)
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
	for _, kind := range []string{"nightly", "hourly", "replicate", "prune", "claim", "proxmox", "guest", "tend", "offsite"} {
		if !recorded[kind] {
			t.Errorf("no history of %s is recorded", kind)
		}
	}
}
