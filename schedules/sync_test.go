package schedules_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"triplicate/internal/backup"
	"triplicate/internal/temporald"
	"triplicate/internal/zaplog"
	"triplicate/schedules"
	"triplicate/workflows"
)

const namespace = "default"

// engine starts the embedded server, which is the server that runs in production.
func engine(t *testing.T) client.Client {
	t.Helper()
	var port int
	for port = 31000; ; port += 10 {
		free := true
		for i := range 4 {
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + i})
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			break
		}
	}
	s, err := temporald.Start(t.Context(), temporald.Config{
		Dir: t.TempDir(), Port: port, Namespace: namespace, SearchAttributes: workflows.SearchAttributes(), Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	c, err := client.Dial(client.Options{HostPort: s.Address(), Namespace: namespace, Logger: zaplog.New(zap.NewNop())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func policy(t *testing.T, hourly bool, at backup.TimeOfDay) backup.Policy {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	p := backup.Policy{Host: "smith", Prefix: "triplicate", Zone: zone, Rows: []backup.Row{
		{Dataset: "hdd/vm", Frequency: backup.Frequency{Kind: backup.EachDay, At: at}, Keep: backup.Keep{Daily: 7}},
	}}
	if hourly {
		p.Rows = append(p.Rows, backup.Row{
			Dataset: "nvme/vm", Frequency: backup.Frequency{Kind: backup.EachHour}, Keep: backup.Keep{Hourly: 12},
		})
	}
	return p
}

func TestSync(t *testing.T) {
	c := engine(t)
	sync := func(p backup.Policy) schedules.Report {
		t.Helper()
		desired, err := schedules.Desired(p, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		r, err := schedules.Sync(t.Context(), c, namespace, "smith", desired)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := func(what string, got, want []string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	half1 := backup.TimeOfDay{Hour: 1, Minute: 30}
	both := []string{"smith-nightly", "smith-hourly"}

	want("first: created", sync(policy(t, true, half1)).Created, both)
	want("again: unchanged", sync(policy(t, true, half1)).Unchanged, both)

	// An operator pauses, with a note; then the config changes.
	nightly := c.ScheduleClient().GetHandle(t.Context(), "smith-nightly")
	if err := nightly.Pause(t.Context(), client.SchedulePauseOptions{Note: "moving house"}); err != nil {
		t.Fatal(err)
	}
	r := sync(policy(t, true, backup.TimeOfDay{Hour: 3}))
	want("changed: updated", r.Updated, []string{"smith-nightly"})
	if len(r.Paused) != 1 || r.Paused[0] != (schedules.Paused{ID: "smith-nightly", Note: "moving house"}) {
		t.Errorf("paused = %+v", r.Paused)
	}
	d, err := nightly.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !d.Schedule.State.Paused || d.Schedule.State.Note != "moving house" {
		t.Errorf("state = %+v: the operator's pause was lost", d.Schedule.State)
	}

	// Somebody edits a schedule by hand: the config is the truth.
	hourly := c.ScheduleClient().GetHandle(t.Context(), "smith-hourly")
	err = hourly.Update(t.Context(), client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		in.Description.Schedule.Policy.CatchupWindow = 3 * time.Hour
		return &client.ScheduleUpdate{Schedule: &in.Description.Schedule}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	want("edited by hand: drifted", sync(policy(t, true, backup.TimeOfDay{Hour: 3})).Drifted, []string{"smith-hourly"})

	// A schedule of somebody else's stays; one of ours that left the config goes.
	_, err = c.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
		ID: "foreign", Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}},
		Action: &client.ScheduleWorkflowAction{Workflow: "X", TaskQueue: "q"},
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := schedules.List(t.Context(), c, namespace, "smith")
	if err != nil || len(list) != 2 {
		t.Fatalf("list = %+v, %v; want ours, two", list, err)
	}
	want("left the config: deleted", sync(policy(t, false, backup.TimeOfDay{Hour: 3})).Deleted, []string{"smith-hourly"})
	if _, err := c.ScheduleClient().GetHandle(t.Context(), "foreign").Describe(t.Context()); err != nil {
		t.Errorf("the foreign schedule: %v", err)
	}

	// One of somebody else's under our name is an error, not a victim.
	_, err = c.ScheduleClient().Create(t.Context(), client.ScheduleOptions{
		ID: "smith-hourly", Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}},
		Action: &client.ScheduleWorkflowAction{Workflow: "X", TaskQueue: "q"},
	})
	if err != nil {
		t.Fatal(err)
	}
	desired, err := schedules.Desired(policy(t, true, half1), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schedules.Sync(t.Context(), c, namespace, "smith", desired); !errors.Is(err, schedules.ErrForeign) {
		t.Errorf("a foreign schedule under our name: %v, want ErrForeign", err)
	}
}
