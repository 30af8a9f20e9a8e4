package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"

	"triplicate/internal/backup"
	"triplicate/workflows"
)

// motion is a step that moves: any of the heartbeats of package activities.
type motion struct {
	Dataset string `json:"dataset"` // of a replica or an offsite copy
	Kind    string `json:"kind"`    // full, incremental, resume, comparing, uploading
	Bytes   int64  `json:"bytes"`
	Total   int64  `json:"total"`
	Objects int    `json:"objects"`
	VMID    int    `json:"vmid"` // of a guest's backup
	Percent int    `json:"percent"`
	UPID    string `json:"upid"` // of verify, prune or garbage collection
	Last    string `json:"last"` // line of its log
}

// part is how much is done, from 0 to 1; false if nobody knows.
func (m motion) part() (float64, bool) {
	switch {
	case m.VMID != 0:
		return float64(m.Percent) / 100, true
	case m.Total > 0:
		return min(float64(m.Bytes)/float64(m.Total), 1), true
	}
	return 0, false
}

func (m motion) String() string {
	switch {
	case m.VMID != 0:
		return fmt.Sprintf("guest %d: %s", m.VMID, backup.Bytes(m.Bytes))
	case m.Dataset != "" && m.Total > 0:
		text := fmt.Sprintf("%s %s: %s of %s", m.Dataset, m.Kind, backup.Bytes(m.Bytes), backup.Bytes(m.Total))
		if m.Objects > 0 {
			text += fmt.Sprintf(", %d objects", m.Objects)
		}
		return text
	case m.Dataset != "":
		return m.Dataset + " " + m.Kind
	}
	return "Proxmox Backup Server: " + m.Last
}

// moving are the steps that move in a run: its own, its children's and theirs. What
// was started before it and is only waited for is no child: that is looked for by
// its ID, while its stage runs.
func (f *follower) moving(ctx context.Context, r workflows.Report) (all []motion) {
	seen := map[string]bool{}
	var visit func(id string, deep int)
	visit = func(id string, deep int) {
		if seen[id] || deep > 3 {
			return
		}
		seen[id] = true
		d, err := f.tc.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return
		}
		for _, a := range d.GetPendingActivities() {
			if m, ok := motionOf(a); ok {
				all = append(all, m)
			}
		}
		for _, child := range d.GetPendingChildren() {
			visit(child.GetWorkflowId(), deep+1)
		}
	}
	visit(f.run.GetID(), 0)
	policy := f.cfg.Policy()
	for _, s := range r.Stages {
		if s.Outcome != "" || s.Started.IsZero() {
			continue
		}
		switch backup.Stage(s.Stage) {
		case backup.StageProxmox:
			visit(workflows.ProxmoxID(f.cfg.Host), 1)
		case backup.StageReplicate:
			for _, x := range policy.Replicas {
				visit(workflows.ReplicateID(f.cfg.Host, x.Name), 1)
			}
		case backup.StageOffsite:
			for _, x := range policy.Offsite {
				visit(workflows.OffsiteID(f.cfg.Host, x.Name), 1)
			}
		}
	}
	return all
}

// motionOf reads a pending activity's heartbeat.
func motionOf(a *workflow.PendingActivityInfo) (m motion, ok bool) {
	hb := a.GetHeartbeatDetails()
	if hb == nil || converter.GetDefaultDataConverter().FromPayloads(hb, &m) != nil {
		return m, false
	}
	return m, m.Dataset != "" || m.VMID != 0 || m.Last != ""
}

// between is how often plain progress lines come.
const between = 30 * time.Second

// progress shows what moves: the first that has a measure as a bar on a terminal, all
// as plain lines elsewhere.
func (f *follower) progress(all []motion) {
	if len(all) == 0 {
		return
	}
	if !f.terminal() {
		now := f.clock()
		if now.Sub(f.plain) < between {
			return
		}
		f.plain = now
		for _, m := range all {
			if part, known := m.part(); known {
				fmt.Fprintf(f.out, "  %.0f %% %s\n", part*100, m)
			} else {
				fmt.Fprintf(f.out, "  %s\n", m)
			}
		}
		return
	}
	i := max(0, slices.IndexFunc(all, func(m motion) bool { _, known := m.part(); return known }))
	line := "  " + all[i].String()
	if part, known := all[i].part(); known {
		line = fmt.Sprintf("  %s %3.0f %% %s", drawn(part), part*100, all[i])
	}
	if more := len(all) - 1; more > 0 {
		line += fmt.Sprintf(" (and %d more)", more)
	}
	// A line that wraps could not be taken back.
	if r := []rune(line); len(r) >= f.width() {
		line = string(r[:f.width()-1])
	}
	fmt.Fprintf(f.out, "\r\033[K%s", line)
	f.bar = true
}

// drawn is a bar.
func drawn(part float64) string {
	const width = 24
	full := min(width, int(part*width))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// clear takes the bar away before a line is printed.
func (f *follower) clear() {
	if f.bar {
		fmt.Fprint(f.out, "\r\033[K")
		f.bar = false
	}
}
