package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// upidText is the form of a UPID (PVE/UPID.pm): node, pid, start of the process,
// start of the task, type, ID, user.
var upidText = regexp.MustCompile(`^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

// task is a task with the ID in its UPID, which for vzdump is the VMID.
type task struct {
	backup.Task
	id string
}

// taskOf is what a UPID says of its task.
func taskOf(id backup.UPID) (task, error) {
	m := upidText.FindStringSubmatch(string(id))
	if m == nil || len(id) > 300 || checkNode(m[1]) != nil {
		return task{}, fmt.Errorf("%q is not a upid", clip(string(id), 200))
	}
	started, err := strconv.ParseInt(m[2], 16, 64)
	return task{backup.Task{UPID: id, Type: m[3], Started: time.Unix(started, 0).UTC(), User: m[5]}, m[4]}, err
}

var warningsStatus = regexp.MustCompile(`^WARNINGS: [0-9]+$`)

// ended reads the status of a task that runs no more: the last line of its log,
// without TASK (PVE/UPID.pm, read_status).
func ended(status string) backup.TaskState {
	switch {
	case status == "OK":
		return backup.TaskOK
	case warningsStatus.MatchString(status):
		return backup.TaskWarnings
	case status == "interrupted by signal", status == "received interrupt":
		return backup.TaskInterrupted
	case status == "", status == "unexpected status", strings.HasPrefix(status, "unable to get last line from task log"):
		return backup.TaskLost
	default:
		return backup.TaskFailed
	}
}

// Task is one task, asked of the node in its UPID. Tasks of others need Sys.Audit
// on the node.
func (c *Client) Task(ctx context.Context, id backup.UPID) (backup.Task, error) {
	t, err := taskOf(id)
	if err != nil {
		return backup.Task{}, err
	}
	b, err := c.begin()
	if err != nil {
		return backup.Task{}, err
	}
	return b.task(ctx, t.Task)
}

func (b *batch) task(ctx context.Context, t backup.Task) (backup.Task, error) {
	var row struct{ UPID, Status, Exitstatus word }
	if _, err := b.get(ctx, &row, nil, "nodes", t.UPID.Node(), "tasks", string(t.UPID), "status"); err != nil {
		return backup.Task{}, err
	}
	switch {
	case row.UPID != word(t.UPID):
		return backup.Task{}, fmt.Errorf("task %s: answer about %q: %w", t.UPID, row.UPID, errNonsense)
	case row.Status == "running":
		t.State = backup.TaskRunning
	case row.Status == "stopped":
		t.Status, t.State = clip(string(row.Exitstatus), maxText), ended(string(row.Exitstatus))
	default:
		return backup.Task{}, fmt.Errorf("task %s: status %q: %w", t.UPID, row.Status, errNonsense)
	}
	return t, nil
}

// logPage is how many lines one request gets: a night of progress.
const logPage = 500

// TaskLog is the log from line number from on (0: the beginning), at most 500
// lines; ErrNotFound if the log is gone.
func (c *Client) TaskLog(ctx context.Context, id backup.UPID, from int) (backup.TaskLog, error) {
	part := backup.TaskLog{Next: from, Total: from}
	t, err := taskOf(id)
	if err == nil && from < 0 {
		err = fmt.Errorf("log of task %s: there is no line %d", id, from)
	}
	if err != nil {
		return part, err
	}
	b, err := c.begin()
	if err != nil {
		return part, err
	}
	var rows []struct {
		N integer
		T line
	}
	params := url.Values{"start": {strconv.Itoa(from)}, "limit": {strconv.Itoa(logPage)}}
	total, err := b.get(ctx, &rows, params, "nodes", t.UPID.Node(), "tasks", string(id), "log")
	if err != nil {
		return part, err
	}
	if len(rows) == 1 && rows[0].N == 1 && total <= 1 {
		// Two answers that are made up (PVE/Tools.pm, dump_logfile).
		switch text := string(rows[0].T); {
		case text == "no content": // yet
			part.Total = 0
			return part, nil
		case strings.HasPrefix(text, "unable to open file"):
			return part, fmt.Errorf("log of task %s: %s: %w", id, clip(text, maxText), backup.ErrNotFound)
		}
	}
	for _, r := range rows {
		if int(r.N) != part.Next+1 {
			return backup.TaskLog{Next: from}, fmt.Errorf("log of task %s: line %d after line %d: %w", id, r.N, part.Next, errNonsense)
		}
		part.Lines = append(part.Lines, string(r.T))
		part.Next++
	}
	part.Total = max(total, part.Next)
	if len(rows) == 0 { // from is past the end
		part.Total = max(total, 0)
	}
	return part, nil
}

// StopTask ends a running task; one that has ended is left alone. The task gets
// SIGTERM, so it cleans up first and ends some seconds later. Tasks of others need
// Sys.Modify on the node.
func (c *Client) StopTask(ctx context.Context, id backup.UPID) error {
	t, err := taskOf(id)
	if err != nil {
		return err
	}
	b, err := c.begin()
	if err != nil {
		return err
	}
	now, err := b.task(ctx, t.Task)
	if err != nil || now.Ended() {
		return err
	}
	_, err = b.repeat(ctx, request{http.MethodDelete, at("nodes", t.UPID.Node(), "tasks", string(id)), nil}, nil)
	return err
}
