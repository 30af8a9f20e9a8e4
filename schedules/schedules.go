package schedules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"triplicate/internal/backup"
	"triplicate/workflows"
)

// How late a run may still start after the daemon or the host was down. Later it
// is dropped and the next one does its work. Temporal's default is a year.
const (
	nightlyCatchup = 12 * time.Hour
	hourlyCatchup  = time.Hour
)

// Schedule is one entry of what runs when.
type Schedule struct {
	ID            string // of the schedule, and of its workflows before the instant is appended
	TaskQueue     string
	Workflow      string // registered name
	Params        any    // its one argument
	Summary       string // what the Web UI shows of a run; Markdown, one line
	Spec          *schedulepb.ScheduleSpec
	CatchupWindow time.Duration
}

// Desired is what the policy wants: <host>-nightly if anything is daily,
// <host>-hourly if anything is hourly. It is the same all year long for the same
// policy (see NightlySpec). A zone that a server could not look up by its name is
// an error.
func Desired(p backup.Policy, now time.Time) ([]Schedule, error) {
	var desired []Schedule
	if at, ok := p.NightStart(); ok {
		if err := checkZone(p.Zone); err != nil {
			return nil, err
		}
		desired = append(desired, Schedule{
			ID: workflows.NightlyID(p.Host), TaskQueue: workflows.TaskQueue(p.Host),
			Workflow: "Nightly", Params: workflows.NightlyParams{},
			Summary:       fmt.Sprintf("Nightly backup of `%s`, from %s %s", p.Host, at, p.Zone),
			Spec:          NightlySpec(p.Zone, at, now),
			CatchupWindow: nightlyCatchup,
		})
	}
	hourly := func(r backup.Row) bool { return r.Frequency.Kind == backup.EachHour }
	if slices.ContainsFunc(p.Rows, hourly) {
		desired = append(desired, Schedule{
			ID: workflows.HourlyID(p.Host), TaskQueue: workflows.TaskQueue(p.Host),
			Workflow: "Hourly", Params: workflows.HourlyParams{},
			Summary:       fmt.Sprintf("Hourly snapshots of `%s`", p.Host),
			Spec:          HourlySpec(),
			CatchupWindow: hourlyCatchup,
		})
	}
	return desired, nil
}

// checkZone refuses zones that have no name of their own: the schedule names the
// zone, and the server, perhaps on another machine, looks it up.
func checkZone(zone *time.Location) error {
	if zone == nil || zone == time.Local {
		return fmt.Errorf("time zone: want a name of the IANA database, such as Europe/Vienna")
	}
	if _, err := time.LoadLocation(zone.String()); err != nil {
		return fmt.Errorf("time zone %s: not in the IANA database: %w", zone, err)
	}
	return nil
}

// hashKey is the memo of a schedule's action that tells which version of the config
// wrote it. It goes with every update, in one piece with what it stands for.
const hashKey = "triplicateSchedule"

// proto is the schedule without state, with its hash in the action's memo.
func (s Schedule) proto() (*schedulepb.Schedule, error) {
	input, err := converter.GetDefaultDataConverter().ToPayloads(s.Params)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: encode parameters: %w", s.ID, err)
	}
	summary, err := converter.GetDefaultDataConverter().ToPayload(s.Summary)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: encode summary: %w", s.ID, err)
	}
	start := &workflowpb.NewWorkflowExecutionInfo{
		WorkflowId:   s.ID,
		WorkflowType: &commonpb.WorkflowType{Name: s.Workflow},
		TaskQueue:    &taskqueuepb.TaskQueue{Name: s.TaskQueue},
		Input:        input,
		UserMetadata: &sdkpb.UserMetadata{Summary: summary},
	}
	p := &schedulepb.Schedule{
		Spec:   s.Spec,
		Action: &schedulepb.ScheduleAction{Action: &schedulepb.ScheduleAction_StartWorkflow{StartWorkflow: start}},
		Policies: &schedulepb.SchedulePolicies{
			OverlapPolicy: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
			CatchupWindow: durationpb.New(s.CatchupWindow),
			// A backup that stops after one bad night is worse than a bad night.
			PauseOnFailure: false,
		},
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: hash: %w", s.ID, err)
	}
	sum := sha256.Sum256(bytes)
	if start.Memo, err = memo(map[string]string{hashKey: hex.EncodeToString(sum[:12])}); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.ID, err)
	}
	return p, nil
}

// memo encodes text values as the SDK does.
func memo(values map[string]string) (*commonpb.Memo, error) {
	m := &commonpb.Memo{Fields: map[string]*commonpb.Payload{}}
	for key, value := range values {
		payload, err := converter.GetDefaultDataConverter().ToPayload(value)
		if err != nil {
			return nil, fmt.Errorf("encode memo %s: %w", key, err)
		}
		m.Fields[key] = payload
	}
	return m, nil
}

// inMemo reads a text value, empty if it is missing or something else.
func inMemo(m *commonpb.Memo, key string) string {
	var value string
	if payload, ok := m.GetFields()[key]; ok {
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &value); err != nil {
			return ""
		}
	}
	return value
}

func hashOf(s *schedulepb.Schedule) string {
	return inMemo(s.GetAction().GetStartWorkflow().GetMemo(), hashKey)
}
