package workflows

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// TestTheWorstReportStaysSmall: everything fails, of 500 datasets and 200 guests,
// each with a long text, in every stage.
func TestTheWorstReportStaysSmall(t *testing.T) {
	r := Report{Host: "smith", Workflow: activities.PlanNightly}
	for _, stage := range []string{"snapshot", "proxmox", "replicate", "offsite", "datastore", "prune"} {
		s := StageReport{Stage: stage}
		for i := range 500 {
			s.add(activities.Item{
				Name:    fmt.Sprintf("nvme/personal/a-rather-long-dataset-name-%04d", i),
				Outcome: backup.Failed, Detail: strings.Repeat("it went wrong ", 200),
			})
		}
		s.settle()
		r.Stages = append(r.Stages, s)
	}
	r.settle()
	data, err := json.Marshal(r)
	if err != nil || len(data) > 256<<10 {
		t.Errorf("%d bytes, %v; want under 256 KiB", len(data), err)
	}
	t.Logf("the worst report: %d bytes", len(data))
}

// TestWhatIsLeftOutStillCounts: one failure after more good items than are listed.
func TestWhatIsLeftOutStillCounts(t *testing.T) {
	var s StageReport
	for i := range maxItems + 50 {
		s.add(activities.Item{Name: fmt.Sprint(i), Outcome: backup.Skipped})
	}
	s.add(activities.Item{Name: "bad", Outcome: backup.Failed})
	s.settle()
	listed := false
	for _, it := range s.Items {
		listed = listed || it.Name == "bad"
	}
	if s.Outcome != backup.Failed || s.More != 51 || !listed {
		t.Errorf("outcome %s, %d more, the failure listed = %v; want failed, 51, true", s.Outcome, s.More, listed)
	}
}
