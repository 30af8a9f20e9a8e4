package schedules

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// ErrForeign is a stranger: a schedule has the name of one of ours, but somebody else made it.
var ErrForeign = errors.New("was not made by triplicate: delete it, or choose another host name in the config")

// cluster is the part of Temporal's service that schedules need. The SDK's own
// schedule client will not do: its Update sends no conflict token, and so loses
// what an operator does at the same time.
type cluster interface {
	CreateSchedule(context.Context, *workflowservice.CreateScheduleRequest, ...grpc.CallOption) (*workflowservice.CreateScheduleResponse, error)
	DescribeSchedule(context.Context, *workflowservice.DescribeScheduleRequest, ...grpc.CallOption) (*workflowservice.DescribeScheduleResponse, error)
	UpdateSchedule(context.Context, *workflowservice.UpdateScheduleRequest, ...grpc.CallOption) (*workflowservice.UpdateScheduleResponse, error)
	DeleteSchedule(context.Context, *workflowservice.DeleteScheduleRequest, ...grpc.CallOption) (*workflowservice.DeleteScheduleResponse, error)
	ListSchedules(context.Context, *workflowservice.ListSchedulesRequest, ...grpc.CallOption) (*workflowservice.ListSchedulesResponse, error)
}

// Memo of a schedule (not of its runs) that marks it as one host's.
const (
	managedKey = "managedBy"
	managedBy  = "triplicate"
	hostKey    = "host"
)

// identity is what the cluster records as the author of a change.
const identity = managedBy

// firstNote is on a schedule when it is made; from then on the note is the operator's.
const firstNote = "made from the config, which is the place to edit it; pausing it and this note are yours"

// attempts bounds how often a schedule is looked at and written in one Sync.
const attempts = 8

// Report says what Sync found and did, by schedule ID.
type Report struct {
	Created   []string `json:"created,omitempty"`
	Updated   []string `json:"updated,omitempty"`
	Drifted   []string `json:"drifted,omitempty"` // of Updated: somebody had edited it, not the config
	Unchanged []string `json:"unchanged,omitempty"`
	Deleted   []string `json:"deleted,omitempty"`
	Paused    []Paused `json:"paused,omitempty"` // of all, by the operator
}

// Paused is a schedule that an operator paused, with the note on it.
type Paused struct {
	ID   string `json:"id"`
	Note string `json:"note,omitempty"`
}

// Sync makes the cluster have exactly the desired schedules of host: it creates
// what is missing, updates what differs, deletes what host no longer wants, and
// touches nothing else. An operator's pause and note survive. Repeating it costs
// one look per schedule and writes nothing. One schedule that fails (ErrForeign,
// an unreachable cluster) does not keep the others from theirs; the Report holds
// for what went well.
func Sync(ctx context.Context, c client.Client, namespace, host string, desired []Schedule) (Report, error) {
	s := syncer{cluster: c.WorkflowService(), namespace: namespace, host: host, wait: wait}
	return s.run(ctx, desired)
}

type syncer struct {
	cluster   cluster
	namespace string
	host      string
	wait      func(ctx context.Context, attempt int) error
	report    Report
}

func (s *syncer) run(ctx context.Context, desired []Schedule) (Report, error) {
	var errs []error
	wanted := map[string]bool{}
	for _, d := range desired {
		wanted[d.ID] = true
		if err := s.converge(ctx, d); err != nil {
			errs = append(errs, fmt.Errorf("schedule %s: %w", d.ID, err))
		}
	}
	if err := s.deleteOthers(ctx, wanted); err != nil {
		errs = append(errs, err)
	}
	return s.report, errors.Join(errs...)
}

// converge looks, writes and looks again until the cluster has d. The second look
// is needed: a server drops an update whose conflict token is stale and answers OK
// all the same (Temporal's V1 scheduler; the V2 one says FailedPrecondition).
func (s *syncer) converge(ctx context.Context, d Schedule) error {
	want, err := d.proto()
	if err != nil {
		return err
	}
	var wrote, drifted bool
	var last error
	for attempt := range attempts {
		if attempt > 0 {
			if err := s.wait(ctx, attempt); err != nil {
				return errors.Join(err, last)
			}
		}
		got, err := s.describe(ctx, d.ID)
		switch {
		case isNotFound(err):
			if err = s.create(ctx, d.ID, want); err == nil {
				s.report.Created = append(s.report.Created, d.ID)
				return nil
			}
		case err != nil:
		case !s.ours(got):
			return ErrForeign
		case same(want, got.GetSchedule()):
			s.settled(d.ID, got, wrote, drifted)
			return nil
		default:
			drifted = drifted || !wrote && hashOf(got.GetSchedule()) == hashOf(want)
			if err = s.update(ctx, d.ID, want, got); err == nil {
				wrote = true
			}
		}
		if err != nil && !again(err) {
			return err
		}
		last = err
	}
	return errors.Join(fmt.Errorf("not as configured after %d tries; is somebody else writing it?", attempts), last)
}

// settled reports a schedule that is as it should be.
func (s *syncer) settled(id string, got *workflowservice.DescribeScheduleResponse, wrote, drifted bool) {
	if wrote {
		s.report.Updated = append(s.report.Updated, id)
	} else {
		s.report.Unchanged = append(s.report.Unchanged, id)
	}
	if drifted {
		s.report.Drifted = append(s.report.Drifted, id)
	}
	if state := got.GetSchedule().GetState(); state.GetPaused() {
		s.report.Paused = append(s.report.Paused, Paused{ID: id, Note: state.GetNotes()})
	}
}

func (s *syncer) describe(ctx context.Context, id string) (*workflowservice.DescribeScheduleResponse, error) {
	return s.cluster.DescribeSchedule(ctx, &workflowservice.DescribeScheduleRequest{Namespace: s.namespace, ScheduleId: id})
}

func (s *syncer) create(ctx context.Context, id string, want *schedulepb.Schedule) error {
	mark, err := memo(map[string]string{managedKey: managedBy, hostKey: s.host})
	if err != nil {
		return err
	}
	_, err = s.cluster.CreateSchedule(ctx, &workflowservice.CreateScheduleRequest{
		Namespace: s.namespace, ScheduleId: id, Memo: mark, Identity: identity, RequestId: rand.Text(),
		Schedule: &schedulepb.Schedule{
			Spec: want.Spec, Action: want.Action, Policies: want.Policies,
			State: &schedulepb.ScheduleState{Notes: firstNote},
		},
	})
	return err
}

// update replaces everything but the state, which goes back as it was seen. If the
// operator changed it since, the conflict token makes the update void.
func (s *syncer) update(ctx context.Context, id string, want *schedulepb.Schedule, seen *workflowservice.DescribeScheduleResponse) error {
	_, err := s.cluster.UpdateSchedule(ctx, &workflowservice.UpdateScheduleRequest{
		Namespace: s.namespace, ScheduleId: id, Identity: identity, RequestId: rand.Text(),
		ConflictToken: seen.GetConflictToken(),
		Schedule: &schedulepb.Schedule{
			Spec: want.Spec, Action: want.Action, Policies: want.Policies,
			State: seen.GetSchedule().GetState(),
		},
	})
	return err
}

// deleteOthers deletes the schedules that were made for this host and are not
// wanted any more. The list may be behind, so each is looked at before.
func (s *syncer) deleteOthers(ctx context.Context, wanted map[string]bool) error {
	entries, err := list(ctx, s.cluster, s.namespace)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if wanted[e.GetScheduleId()] || !marked(e.GetMemo(), s.host) {
			continue
		}
		got, err := s.describe(ctx, e.GetScheduleId())
		if err == nil && !s.ours(got) {
			continue
		}
		if err == nil {
			_, err = s.cluster.DeleteSchedule(ctx, &workflowservice.DeleteScheduleRequest{
				Namespace: s.namespace, ScheduleId: e.GetScheduleId(), Identity: identity,
			})
		}
		switch {
		case isNotFound(err):
		case err != nil:
			errs = append(errs, fmt.Errorf("delete schedule %s: %w", e.GetScheduleId(), err))
		default:
			s.report.Deleted = append(s.report.Deleted, e.GetScheduleId())
		}
	}
	return errors.Join(errs...)
}

func (s *syncer) ours(got *workflowservice.DescribeScheduleResponse) bool {
	return marked(got.GetMemo(), s.host)
}

func isNotFound(err error) bool {
	var e *serviceerror.NotFound
	return errors.As(err, &e)
}

// again says whether another look may help: somebody was faster, or the schedule
// has only just been made.
func again(err error) bool {
	var (
		started  *serviceerror.WorkflowExecutionAlreadyStarted
		exists   *serviceerror.AlreadyExists
		conflict *serviceerror.FailedPrecondition
		notReady *serviceerror.WorkflowNotReady
	)
	return isNotFound(err) || errors.As(err, &started) || errors.As(err, &exists) ||
		errors.As(err, &conflict) || errors.As(err, &notReady)
}

// wait lets a busy server catch up: 50 ms, then twice as long each time.
func wait(ctx context.Context, attempt int) error {
	t := time.NewTimer(25 * time.Millisecond << attempt)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
