package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/term"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/workflows"
)

// follower prints a run as it goes: a line for each stage that changed, and while
// bytes flow a bar, on a terminal, or a plain line every half minute.
type follower struct {
	*cli
	tc    client.Client
	host  string
	shown map[string]string
	bar   bool
	plain time.Time // of the last plain progress line
}

// poll asks the run for its report and prints what is new.
func (f *follower) poll(ctx context.Context, run client.WorkflowRun) {
	v, err := f.tc.QueryWorkflow(ctx, run.GetID(), run.GetRunID(), workflows.QueryReport)
	if err != nil {
		return // not started yet, or the daemon is restarting: the next tick asks again
	}
	var r workflows.Report
	if v.Get(&r) != nil {
		return
	}
	f.stages(r)
	for _, s := range r.Stages {
		if s.Stage == string(backup.StageReplicate) && s.Outcome == "" && !s.Started.IsZero() {
			f.replicas(ctx)
		}
	}
}

// stages prints each stage once when it starts and once when it has ended.
func (f *follower) stages(r workflows.Report) {
	if f.json {
		return
	}
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
		if s.Outcome != "" {
			for _, it := range s.Items {
				f.item(it)
			}
		}
	}
}

// item prints what did not go well.
func (f *follower) item(it activities.Item) {
	if it.Outcome == backup.OK || f.json {
		return
	}
	fmt.Fprintf(f.out, "  %s %s: %s\n", f.paint(it.Outcome, string(it.Outcome)), it.Name, it.Detail)
}

// replicas shows the progress of the first replica that is sending.
func (f *follower) replicas(ctx context.Context) {
	cfg, err := f.load()
	if err != nil {
		return
	}
	for _, r := range cfg.Policy().Replicas {
		if f.transfer(ctx, workflows.ReplicateID(f.host, r.Name)) {
			return
		}
	}
}

// transfer shows one replica's progress, if it is sending.
func (f *follower) transfer(ctx context.Context, workflowID string) bool {
	p, ok := heartbeat(ctx, f.tc, workflowID)
	if !ok || p.Total == 0 || f.json {
		return false
	}
	part := min(float64(p.Bytes)/float64(p.Total), 1)
	text := fmt.Sprintf("%s %s: %s of %s", p.Dataset, p.Kind, backup.Bytes(p.Bytes), backup.Bytes(p.Total))
	if f.terminal() {
		const width = 24
		full := int(part * width)
		fmt.Fprintf(f.out, "\r\033[K  [%s%s] %3.0f %% %s", strings.Repeat("#", full), strings.Repeat(".", width-full), part*100, text)
		f.bar = true
	} else if time.Since(f.plain) > 30*time.Second {
		f.plain = time.Now()
		fmt.Fprintf(f.out, "  %.0f %% %s\n", part*100, text)
	}
	return true
}

// clear takes the bar away before a line is printed.
func (f *follower) clear() {
	if f.bar {
		fmt.Fprint(f.out, "\r\033[K")
		f.bar = false
	}
}

// terminal says whether out is one.
func (c *cli) terminal() bool {
	file, ok := c.out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// paint colours text by outcome, on a terminal that wants colour (no-color.org).
func (c *cli) paint(o backup.Outcome, text string) string {
	if os.Getenv("NO_COLOR") != "" || !c.terminal() {
		return text
	}
	colour := "0"
	switch o {
	case backup.OK:
		colour = "32"
	case backup.Warning, backup.NeedsApproval, backup.NotCovered:
		colour = "33"
	case backup.Failed:
		colour = "31"
	case backup.Skipped, backup.NotConfigured:
		colour = "2"
	}
	return "\033[" + colour + "m" + text + "\033[0m"
}
