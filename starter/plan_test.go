package main

import (
	"strings"
	"testing"
	"time"
)

// TestPlanShowsEveryPrune: a replica is pruned also where the row over it is
// disabled and only says how much of it to keep. What the plan shows is what prune
// does, no less.
func TestPlanShowsEveryPrune(t *testing.T) {
	s := newSmith(t)
	own := "  - { dataset: hdd/backups-data/personal, frequency: disabled, keep: { daily: 1 } }\nreplicas:"
	s.write(strings.Replace(rows, "replicas:", own, 1) + s.server)
	for day := 24; day <= 25; day++ {
		s.snapshot(time.Date(2026, 11, day, 0, 30, 0, 0, time.UTC), "nvme/personal")
		s.replicate("nvme/personal")
	}
	got := s.must(exitOK, "plan").out
	if want := "hdd/backups-data/personal (daily 1): keep 1, destroy 1"; !strings.Contains(got, want) {
		t.Errorf("it does not say %q:\n%s", want, got)
	}
}
