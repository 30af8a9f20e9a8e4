package pbs

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// tasks is where the tasks are. The server has one node, which may always be called
// localhost, whatever the UPIDs call it.
const tasks = "/nodes/localhost/tasks"

// logPage is how many lines of a log are read at once.
const logPage = 500

// maxLine bounds a line of a log, in bytes.
const maxLine = 4096

// Task is one task. It may be asked for at any time after its start, until the
// server's log rotates it away.
func (c *Client) Task(ctx context.Context, id backup.UPID) (backup.Task, error) {
	if err := checkUPID(id); err != nil {
		return backup.Task{}, err
	}
	got, err := get[taskStatus](ctx, c, taskPath(id, "/status"), nil)
	if err != nil {
		return backup.Task{}, fmt.Errorf("task %s: %w", id, err)
	}
	s := got.Data
	if s.UPID != id {
		return backup.Task{}, fmt.Errorf("task %s: the server told of another task", id)
	}
	t := backup.Task{UPID: id, Type: oneLine(s.Type, 80), Started: time.Unix(s.StartTime, 0).UTC(), User: oneLine(s.User, 128)}
	if s.TokenID != "" {
		t.User += "!" + oneLine(s.TokenID, 64)
	}
	switch s.Status {
	case "running":
		t.State = backup.TaskRunning
	case "stopped":
		t.State, t.Status = taskState(s.ExitStatus), oneLine(s.ExitStatus, maxText)
	default:
		return backup.Task{}, fmt.Errorf("task %s: unknown status %q", id, oneLine(s.Status, 80))
	}
	return t, nil
}

type taskStatus struct {
	UPID       backup.UPID `json:"upid"`
	Type       string      `json:"type"`
	StartTime  int64       `json:"starttime"`
	User       string      `json:"user"`
	TokenID    string      `json:"tokenid"`
	Status     string      `json:"status"`
	ExitStatus string      `json:"exitstatus"`
}

// interrupted are the ends of tasks that a person stopped, or a shutdown of the
// server (proxmox-worker-task, check_abort and fail_on_shutdown).
var interrupted = []string{
	"task aborted", "abort requested", "shutdown requested", "server shutdown requested", "interrupted by signal",
}

// taskState reads an exit status: OK, WARNINGS: n, unknown, or the bare error.
func taskState(exit string) backup.TaskState {
	switch {
	case exit == "OK":
		return backup.TaskOK
	case strings.HasPrefix(exit, "WARNINGS: "):
		return backup.TaskWarnings
	case exit == "", exit == "unknown":
		return backup.TaskLost
	}
	for _, text := range interrupted {
		if strings.HasPrefix(exit, text) {
			return backup.TaskInterrupted
		}
	}
	return backup.TaskFailed
}

// TaskLog is the log from line number from on (0: the beginning), one page of it.
func (c *Client) TaskLog(ctx context.Context, id backup.UPID, from int) (backup.TaskLog, error) {
	if err := checkUPID(id); err != nil {
		return backup.TaskLog{}, err
	}
	if from < 0 {
		return backup.TaskLog{}, fmt.Errorf("log of task %s: no line %d", id, from)
	}
	// Lines count from 1, and the server skips those below start: start=7 begins
	// with line 7, where Proxmox VE begins with 8. So the line before the first
	// wanted one may come too; the numbers tell.
	q := url.Values{"start": {strconv.Itoa(from)}, "limit": {strconv.Itoa(logPage + 1)}}
	got, err := get[[]logLine](ctx, c, taskPath(id, "/log"), q)
	if err != nil {
		return backup.TaskLog{}, fmt.Errorf("log of task %s: %w", id, err)
	}
	log := backup.TaskLog{Next: from, Total: max(got.Total, 0)}
	for _, l := range got.Data {
		if l.N <= from {
			continue
		}
		if l.N != log.Next+1 {
			return backup.TaskLog{}, fmt.Errorf("log of task %s: line %d follows line %d", id, l.N, log.Next)
		}
		log.Next = l.N
		log.Lines = append(log.Lines, oneLine(l.T, maxLine))
	}
	log.Total = max(log.Total, log.Next)
	return log, nil
}

type logLine struct {
	N int    `json:"n"`
	T string `json:"t"`
}

// StopTask ends a running task; one that has ended is left alone. It returns when
// the server has been told, which may be before the task has ended.
func (c *Client) StopTask(ctx context.Context, id backup.UPID) error {
	t, err := c.Task(ctx, id)
	if err != nil || t.Ended() {
		return err
	}
	c.http.CloseIdleConnections()
	if _, err := c.send(ctx, http.MethodDelete, taskPath(id, ""), nil); err != nil {
		return fmt.Errorf("stop task %s: %w", id, err)
	}
	return nil
}

// running lists the running tasks of our datastore whose type contains kind.
// Without Audit on /system/tasks the server shows only the token's own.
func (c *Client) running(ctx context.Context, kind string) ([]taskRow, error) {
	q := url.Values{"running": {"1"}, "store": {c.datastore}, "limit": {"1000"}}
	if kind != "" {
		q.Set("typefilter", kind)
	}
	got, err := get[[]taskRow](ctx, c, tasks, q)
	if err != nil {
		return nil, fmt.Errorf("running tasks: %w", err)
	}
	var out []taskRow
	for _, r := range got.Data {
		if r.EndTime != nil || r.Status != nil { // running ones have neither
			continue
		}
		if err := checkUPID(r.UPID); err != nil {
			return nil, fmt.Errorf("running tasks: %w", err)
		}
		if r.WorkerID == "" {
			r.WorkerID = workerID(r.UPID)
		}
		out = append(out, r)
	}
	return out, nil
}

// taskRow is a row of the task list. Its columns are not called as in a task's
// status.
type taskRow struct {
	UPID     backup.UPID `json:"upid"`
	Type     string      `json:"worker_type"`
	WorkerID string      `json:"worker_id"`
	EndTime  *int64      `json:"endtime"`
	Status   *string     `json:"status"`
}

func taskPath(id backup.UPID, what string) string {
	return tasks + "/" + url.PathEscape(string(id)) + what
}
