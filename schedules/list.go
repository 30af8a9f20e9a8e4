package schedules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Status is a schedule as the cluster has it now. Times are UTC.
type Status struct {
	ID      string      `json:"id"`
	Paused  bool        `json:"paused"`
	Note    string      `json:"note,omitempty"`
	Next    []time.Time `json:"next,omitempty"` // the next few, if it were not paused
	Last    time.Time   `json:"last,omitzero"`  // when it last started a run
	Running []string    `json:"running,omitempty"`
	Missed  int64       `json:"missed"`  // dropped since it was made: the cluster was down for longer than the catchup window
	Skipped int64       `json:"skipped"` // dropped since it was made: the run before was still going
}

// List tells of host's schedules, by ID. It changes nothing.
func List(ctx context.Context, c client.Client, namespace, host string) ([]Status, error) {
	entries, err := list(ctx, c.WorkflowService(), namespace)
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, e := range entries {
		if !marked(e.GetMemo(), host) {
			continue
		}
		got, err := c.WorkflowService().DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{
			Namespace: namespace, ScheduleId: e.GetScheduleId(),
		})
		if isNotFound(err) {
			continue // deleted since
		}
		if err != nil {
			return nil, fmt.Errorf("describe schedule %s: %w", e.GetScheduleId(), err)
		}
		out = append(out, status(e.GetScheduleId(), got))
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

func status(id string, got *workflowservice.DescribeScheduleResponse) Status {
	info, state := got.GetInfo(), got.GetSchedule().GetState()
	s := Status{
		ID: id, Paused: state.GetPaused(), Note: state.GetNotes(),
		Missed: info.GetMissedCatchupWindow(), Skipped: info.GetOverlapSkipped(),
	}
	for _, t := range info.GetFutureActionTimes() {
		s.Next = append(s.Next, t.AsTime())
	}
	if n := len(info.GetRecentActions()); n > 0 {
		s.Last = info.GetRecentActions()[n-1].GetActualTime().AsTime()
	}
	for _, w := range info.GetRunningWorkflows() {
		s.Running = append(s.Running, w.GetWorkflowId())
	}
	return s
}

// list reads all pages of the namespace's schedules, everybody's.
func list(ctx context.Context, c cluster, namespace string) ([]*schedulepb.ScheduleListEntry, error) {
	var entries []*schedulepb.ScheduleListEntry
	for token := []byte(nil); ; {
		page, err := c.ListSchedules(ctx, &workflowservice.ListSchedulesRequest{Namespace: namespace, NextPageToken: token})
		if err != nil {
			return nil, fmt.Errorf("list schedules: %w", err)
		}
		entries = append(entries, page.GetSchedules()...)
		if token = page.GetNextPageToken(); len(token) == 0 {
			return entries, nil
		}
	}
}

// marked says whether a schedule's memo says that we made it for host.
func marked(m *commonpb.Memo, host string) bool {
	return inMemo(m, managedKey) == managedBy && inMemo(m, hostKey) == host
}
