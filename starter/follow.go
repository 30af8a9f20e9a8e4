package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/workflows"
)

// follower prints a run as it goes: a line for each stage that changed, and while
// something moves a bar, on a terminal, or plain lines every half minute.
type follower struct {
	*cli
	tc    client.Client
	cfg   *config.Config
	run   client.WorkflowRun
	shown map[string]string
	bar   bool
	plain time.Time // of the last plain progress lines
}

// ended is how a run ended, whatever its kind: a night and an hourly run have stages,
// a replica and an offsite copy a detail.
type ended struct {
	workflows.Report
	Detail string            `json:"detail"`
	Items  []activities.Item `json:"items"`
}

// follow prints a run's stages and progress until it ends, and then how it ended.
func (c *cli) follow(ctx context.Context, tc client.Client, cfg *config.Config, run client.WorkflowRun) error {
	f := &follower{cli: c, tc: tc, cfg: cfg, run: run, shown: map[string]string{}}
	done := make(chan error, 1)
	var result json.RawMessage
	go func() { done <- await(ctx, tc, run, &result) }()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case err := <-done:
			f.clear()
			if ctx.Err() != nil {
				return fail(exitInterrupted, errors.New("stopped following; the run itself goes on"), "triplicate follow "+run.GetID()+" takes it up again")
			}
			if failed := reportOf(err, &result); failed != nil {
				return c.whyEnded(run.GetID(), failed)
			}
			return f.finish(result)
		case <-t.C:
			f.poll(ctx)
		}
	}
}

// whyEnded says what a run without a report ended with, and where to look.
func (c *cli) whyEnded(id string, err error) error {
	var gone *serviceerror.NotFound
	switch cfg, lerr := c.load(); {
	case errors.As(err, &gone):
		return fail(exitFailed, err, "temporal workflow list shows the runs there are; triplicate schedules list what is due")
	case temporal.IsCanceledError(err):
		return fail(exitFailed, fmt.Errorf("%s was cancelled", id), "nothing: the next run takes up what is left")
	case lerr == nil && app.WebURL(cfg, id) != "":
		return fail(exitFailed, err, "read on at "+app.WebURL(cfg, id))
	}
	return fail(exitFailed, err, "temporal workflow show --workflow-id "+id+" tells more")
}

// reportOf takes the report out of a failed run; an error if there is none.
func reportOf(err error, report any) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.HasDetails() && app.Details(report) == nil {
		return nil
	}
	return err
}

// finish prints how the run ended and sets the exit status.
func (f *follower) finish(result json.RawMessage) error {
	var e ended
	if err := json.Unmarshal(result, &e); err != nil {
		return fail(exitFailed, fmt.Errorf("a result that this version does not know: %w", err), "use the command that came with the daemon (triplicate version)")
	}
	if f.json {
		if err := f.printJSON(result); err != nil {
			return err
		}
		return outcomeExit(e.Outcome)
	}
	f.stages(e.Report)
	for _, n := range e.Notes {
		fmt.Fprintf(f.out, "note: %s\n", n)
	}
	for _, it := range e.Items {
		f.item(it)
	}
	if e.Detail != "" {
		fmt.Fprintf(f.out, "%s: %s\n", f.paint(e.Outcome, string(e.Outcome)), e.Detail)
	} else {
		fmt.Fprintf(f.out, "%s in %s\n", f.paint(e.Outcome, string(e.Outcome)), e.Ended.Sub(e.Started).Round(time.Millisecond*100))
	}
	return outcomeExit(e.Outcome)
}

// poll asks the run for its report and for what moves, and prints what is new.
func (f *follower) poll(ctx context.Context) {
	if f.json {
		return
	}
	var r workflows.Report
	v, err := f.tc.QueryWorkflow(ctx, f.run.GetID(), f.run.GetRunID(), workflows.QueryReport)
	// Not started yet, no night, or the daemon is restarting: the next tick asks again.
	if err == nil && v.Get(&r) == nil {
		f.stages(r)
	}
	f.progress(f.moving(ctx, r))
}

// stages prints each stage once when it starts and once when it has ended.
func (f *follower) stages(r workflows.Report) {
	for _, s := range r.Stages {
		state := "waiting"
		switch {
		case s.Outcome != "":
			state = string(s.Outcome)
		case !s.Started.IsZero():
			state = "running"
		}
		if f.shown[s.Stage] == state || state == "waiting" {
			continue
		}
		f.shown[s.Stage] = state
		f.clear()
		took := ""
		if !s.Ended.IsZero() {
			took = fmt.Sprintf(" in %s", s.Ended.Sub(s.Started).Round(100*time.Millisecond))
		}
		line := fmt.Sprintf("%-10s %s", s.Stage, f.paint(s.Outcome, state))
		if s.Outcome != "" && s.Summary != "" {
			line += ": " + s.Summary + took
		}
		fmt.Fprintln(f.out, line)
		if s.Outcome == "" {
			continue
		}
		for _, it := range s.Items {
			f.item(it)
		}
		if s.More > 0 {
			fmt.Fprintf(f.out, "  and %d more that the report has no room for, the worst %s\n", s.More, f.paint(s.MoreWorst, string(s.MoreWorst)))
		}
	}
}

// item prints what did not go well.
func (f *follower) item(it activities.Item) {
	if it.Outcome == backup.OK {
		return
	}
	fmt.Fprintf(f.out, "  %s %s: %s\n", f.paint(it.Outcome, string(it.Outcome)), it.Name, it.Detail)
}
