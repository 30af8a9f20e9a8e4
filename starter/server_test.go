package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"triplicate/internal/app"
	"triplicate/internal/config"
)

const runID = "11111111-2222-3333-4444-555555555555"

// answers is as much of a Temporal server as it takes to be reached, to keep
// schedules and to tell of one run. What a real one does is seen in e2e and interop.
type answers struct {
	workflowservice.UnimplementedWorkflowServiceServer
	start   error // what starting a workflow ends with
	started chan *workflowservice.StartWorkflowExecutionRequest
	idle    bool   // no daemon polls
	daemon  string // its identity; one that has read the config as it is unless set

	reports  []any                             // what a run answers when asked for its report, the last one from then on
	pending  []*workflowpb.PendingActivityInfo // of every workflow, or only of one
	only     string
	children map[string][]string
	ended    func() *historypb.HistoryEvent      // the run's last event; nil: it goes on
	open     []*workflowpb.WorkflowExecutionInfo // what is listed

	mu        sync.Mutex
	schedules map[string]*workflowservice.CreateScheduleRequest
	asked     int // for a report
}

func (a *answers) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{}, nil
}

func (a *answers) StartWorkflowExecution(_ context.Context, r *workflowservice.StartWorkflowExecutionRequest) (*workflowservice.StartWorkflowExecutionResponse, error) {
	if a.start != nil {
		return nil, serviceerror.ToStatus(a.start).Err()
	}
	if a.started != nil {
		a.started <- r
	}
	return &workflowservice.StartWorkflowExecutionResponse{RunId: runID}, nil
}

func (a *answers) DescribeTaskQueue(context.Context, *workflowservice.DescribeTaskQueueRequest) (*workflowservice.DescribeTaskQueueResponse, error) {
	if a.idle {
		return &workflowservice.DescribeTaskQueueResponse{}, nil
	}
	poller := &taskqueuepb.PollerInfo{Identity: a.daemon}
	if a.daemon == "" {
		cfg, err := config.LoadFile(lastConfig)
		if err != nil {
			return nil, err
		}
		poller.Identity = app.Identity(cfg)
	}
	// One that is gone is told of for some minutes.
	gone := &taskqueuepb.PollerInfo{Identity: "triplicated@smith#before", LastAccessTime: timestamppb.New(time.Unix(1, 0))}
	poller.LastAccessTime = timestamppb.New(time.Unix(2, 0))
	return &workflowservice.DescribeTaskQueueResponse{Pollers: []*taskqueuepb.PollerInfo{gone, poller}}, nil
}

func (a *answers) ListSchedules(context.Context, *workflowservice.ListSchedulesRequest) (*workflowservice.ListSchedulesResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	page := &workflowservice.ListSchedulesResponse{}
	for id, s := range a.schedules {
		page.Schedules = append(page.Schedules, &schedulepb.ScheduleListEntry{ScheduleId: id, Memo: s.GetMemo()})
	}
	return page, nil
}

func (a *answers) DescribeSchedule(_ context.Context, r *workflowservice.DescribeScheduleRequest) (*workflowservice.DescribeScheduleResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.schedules[r.GetScheduleId()]
	if !ok {
		return nil, serviceerror.ToStatus(serviceerror.NewNotFound("no such schedule")).Err()
	}
	return &workflowservice.DescribeScheduleResponse{
		Schedule: s.GetSchedule(), Memo: s.GetMemo(), ConflictToken: []byte("1"),
		Info: &schedulepb.ScheduleInfo{FutureActionTimes: []*timestamppb.Timestamp{timestamppb.New(noon.Add(13 * time.Hour))}},
	}, nil
}

func (a *answers) CreateSchedule(_ context.Context, r *workflowservice.CreateScheduleRequest) (*workflowservice.CreateScheduleResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.schedules == nil {
		a.schedules = map[string]*workflowservice.CreateScheduleRequest{}
	}
	a.schedules[r.GetScheduleId()] = r
	return &workflowservice.CreateScheduleResponse{}, nil
}

// pause is what an operator does.
func (a *answers) pause(id, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedules[id].Schedule.State.Paused, a.schedules[id].Schedule.State.Notes = true, why
}

func (a *answers) QueryWorkflow(context.Context, *workflowservice.QueryWorkflowRequest) (*workflowservice.QueryWorkflowResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.reports) == 0 {
		return nil, serviceerror.ToStatus(serviceerror.NewNotFound("no such workflow")).Err()
	}
	report := a.reports[min(a.asked, len(a.reports)-1)]
	a.asked++
	p, err := converter.GetDefaultDataConverter().ToPayloads(report)
	return &workflowservice.QueryWorkflowResponse{QueryResult: p}, err
}

func (a *answers) DescribeWorkflowExecution(_ context.Context, r *workflowservice.DescribeWorkflowExecutionRequest) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	id := r.GetExecution().GetWorkflowId()
	d := &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{}}
	if a.only == "" || a.only == id {
		d.PendingActivities = a.pending
	}
	for _, child := range a.children[id] {
		d.PendingChildren = append(d.PendingChildren, &workflowpb.PendingChildExecutionInfo{WorkflowId: child})
	}
	return d, nil
}

func (a *answers) ListWorkflowExecutions(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: a.open}, nil
}

func (a *answers) GetWorkflowExecutionHistory(ctx context.Context, r *workflowservice.GetWorkflowExecutionHistoryRequest) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	page := &workflowservice.GetWorkflowExecutionHistoryResponse{History: &historypb.History{}}
	if a.ended == nil {
		if r.GetWaitNewEvent() { // it goes on: whoever waits, waits
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return page, nil
	}
	page.History.Events = append(page.History.Events, a.ended())
	return page, nil
}

// completed is the end of a run with a result.
func completed(t *testing.T, result any) func() *historypb.HistoryEvent {
	t.Helper()
	p, err := converter.GetDefaultDataConverter().ToPayloads(result)
	if err != nil {
		t.Fatal(err)
	}
	return func() *historypb.HistoryEvent {
		return &historypb.HistoryEvent{
			EventId: 5, EventType: enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
			Attributes: &historypb.HistoryEvent_WorkflowExecutionCompletedEventAttributes{
				WorkflowExecutionCompletedEventAttributes: &historypb.WorkflowExecutionCompletedEventAttributes{Result: p},
			},
		}
	}
}

// frontend serves a, or the zero answers, and gives the config's line that names it.
func frontend(t *testing.T, a *answers) string {
	t.Helper()
	if a == nil {
		a = &answers{}
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(server, a)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		// Stopped before it served, where nobody asked it anything.
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return fmt.Sprintf("temporal: { port: %d }", l.Addr().(*net.TCPAddr).Port)
}
