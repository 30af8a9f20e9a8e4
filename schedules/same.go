package schedules

import (
	schedulepb "go.temporal.io/api/schedule/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// same says whether the cluster has what is wanted, state apart. The hash in the
// memo is part of it but not enough: who edits a schedule in the Web UI leaves the
// memo as it was.
func same(want, got *schedulepb.Schedule) bool {
	return proto.Equal(decided(want), decided(got))
}

// decided is what config decides on in a schedule, in one form. Servers fill in
// defaults, and other ones tomorrow: fields that we do not set and that do not
// change what runs when are left out.
func decided(s *schedulepb.Schedule) *schedulepb.Schedule {
	spec := proto.CloneOf(s.GetSpec())
	if spec == nil {
		spec = &schedulepb.ScheduleSpec{}
	}
	spec.TimezoneData = nil
	spec.Jitter = positive(spec.Jitter)
	for _, i := range spec.Interval {
		i.Phase = positive(i.Phase)
	}
	for _, calendars := range [][]*schedulepb.StructuredCalendarSpec{spec.StructuredCalendar, spec.ExcludeStructuredCalendar} {
		for _, c := range calendars {
			fill(c.Second, c.Minute, c.Hour, c.DayOfMonth, c.Month, c.DayOfWeek, c.Year)
		}
	}
	a := s.GetAction().GetStartWorkflow()
	start := &workflowpb.NewWorkflowExecutionInfo{
		WorkflowId:               a.GetWorkflowId(),
		WorkflowType:             a.GetWorkflowType(),
		TaskQueue:                &taskqueuepb.TaskQueue{Name: a.GetTaskQueue().GetName()},
		Input:                    a.GetInput(),
		Memo:                     a.GetMemo(),
		UserMetadata:             a.GetUserMetadata(),
		RetryPolicy:              a.GetRetryPolicy(),
		WorkflowExecutionTimeout: positive(a.GetWorkflowExecutionTimeout()),
		WorkflowRunTimeout:       positive(a.GetWorkflowRunTimeout()),
	}
	return &schedulepb.Schedule{
		Spec:   spec,
		Action: &schedulepb.ScheduleAction{Action: &schedulepb.ScheduleAction_StartWorkflow{StartWorkflow: start}},
		Policies: &schedulepb.SchedulePolicies{
			OverlapPolicy:          s.GetPolicies().GetOverlapPolicy(),
			CatchupWindow:          positive(s.GetPolicies().GetCatchupWindow()),
			PauseOnFailure:         s.GetPolicies().GetPauseOnFailure(),
			KeepOriginalWorkflowId: s.GetPolicies().GetKeepOriginalWorkflowId(),
		},
	}
}

// positive makes the two ways of saying "none" one.
func positive(d *durationpb.Duration) *durationpb.Duration {
	if d.AsDuration() == 0 {
		return nil
	}
	return d
}

// fill writes out a range's end and step, which a client may leave at zero.
func fill(fields ...[]*schedulepb.Range) {
	for _, ranges := range fields {
		for _, r := range ranges {
			r.End, r.Step = max(r.End, r.Start), max(r.Step, 1)
		}
	}
}
