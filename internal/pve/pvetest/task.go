package pvetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// task is a worker of one node.
type task struct {
	upid    backup.UPID
	node    *node
	pid     int
	started time.Time
	kind    string // vzdump
	id      string // vmid, if it is one
	user    string // user@realm or user@realm!name
	lines   []string
	ended   time.Time // zero: runs
	status  string

	steps    []step // what comes next, in order of time
	dump     *dump
	warnings int
}

// step is something that a task does at a time.
type step struct {
	at time.Time
	do func(at time.Time)
}

func (t *task) log(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// then adds a step after what the task has before it.
func (t *task) then(at time.Time, do func(at time.Time)) {
	t.steps = append(t.steps, step{at, do})
}

// begin registers a task that starts now. The fields of its UPID are as PVE/UPID.pm
// makes them: process, its start in hundredths of a second since boot, time.
func (c *Cluster) begin(n *node, kind, id, user string) *task {
	at := c.now()
	n.pid++
	t := &task{node: n, pid: n.pid, started: at.Truncate(time.Second), kind: kind, id: id, user: user}
	uptime := at.Sub(c.anchor)/(10*time.Millisecond) + 100000
	t.upid = backup.UPID(fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", n.name, t.pid, int64(uptime), t.started.Unix(), kind, id, user))
	n.active = append(n.active, t)
	c.tasks[t.upid] = t
	return t
}

// end archives a task. What status says is what its last line said, without TASK.
func (c *Cluster) end(t *task, at time.Time, status string) {
	switch {
	case status == "unexpected status": // it could not say anything any more
	case status == "OK" && t.warnings > 0:
		status = fmt.Sprintf("WARNINGS: %d", t.warnings)
		t.log("TASK %s", status)
	case status == "OK":
		t.log("TASK OK")
	default:
		t.log("TASK ERROR: %s", status)
	}
	t.status, t.ended, t.steps = status, at, nil
	n := t.node
	n.active = slices.DeleteFunc(n.active, func(x *task) bool { return x == t })
	n.archive[0] = append(n.archive[0], t)
	n.queue = slices.DeleteFunc(n.queue, func(x *task) bool { return x == t })
	if n.lock == t {
		n.lock = nil
		if len(n.queue) > 0 {
			waiter := n.queue[0]
			n.queue = n.queue[1:]
			c.acquired(waiter, at, true)
		}
	}
}

// RotateTasks rotates a node's archive of ended tasks, as happens after a thousand:
// rows of the time before the last rotation are gone.
func (c *Cluster) RotateTasks(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.node(name)
	n.archive[1], n.archive[0] = n.archive[0], nil
}

// owns says whether a task is user's: a token has its own tasks, a user also those
// of its tokens.
func (t *task) owns(user string) bool {
	owner, _, _ := strings.Cut(t.user, "!")
	return user == t.user || user == owner
}

// row is what both a list and a status have of a task.
func (t *task) row() map[string]any {
	f := strings.Split(string(t.upid), ":")
	pstart, _ := strconv.ParseInt(f[3], 16, 64)
	user, token, isToken := strings.Cut(t.user, "!")
	row := map[string]any{
		"upid": t.upid, "node": t.node.name, "pid": t.pid, "pstart": pstart,
		"starttime": t.started.Unix(), "type": t.kind, "id": t.id, "user": user,
	}
	if isToken {
		row["tokenid"] = token
	}
	return row
}

// listTasks is GET /nodes/{node}/tasks.
func (c *Cluster) listTasks(q *query) (any, *refusal) {
	auditor := c.may(q.user, "/nodes/"+q.node.name, "Sys.Audit")
	count, start, limit := 0, q.number("start", 0), q.number("limit", 50)
	rows := []any{}
	add := func(t *task, status string) {
		kind := statusKind(status)
		switch {
		case q.has("userfilter") && !strings.Contains(strings.ToLower(t.user), strings.ToLower(q.text("userfilter"))),
			!auditor && !t.owns(q.user),
			q.has("typefilter") && t.kind != q.text("typefilter"),
			q.has("vmid") && t.id != q.text("vmid"),
			q.has("since") && t.started.Unix() < int64(q.number("since", 0)),
			q.has("until") && t.started.Unix() > int64(q.number("until", 0)),
			q.number("errors", 0) == 1 && kind == "ok",
			q.number("errors", 0) == 0 && q.has("statusfilter") && !slices.Contains(separated(q.text("statusfilter")), kind):
			return
		}
		count++
		if count <= start || limit <= 0 { // limit=0 is nothing, not everything
			return
		}
		limit--
		row := t.row()
		row["status"] = status
		if !t.ended.IsZero() {
			row["endtime"] = t.ended.Unix()
		}
		rows = append(rows, row)
	}
	source := q.text("source")
	if source == "active" || source == "all" {
		for _, t := range slices.Backward(q.node.active) {
			add(t, "RUNNING")
		}
	}
	if source != "active" {
		for _, file := range q.node.archive {
			for _, t := range slices.Backward(file) {
				add(t, t.status)
			}
		}
	}
	q.total = count
	return rows, nil
}

func statusKind(status string) string {
	switch {
	case status == "OK":
		return "ok"
	case strings.HasPrefix(status, "WARNINGS: "):
		return "warning"
	case status == "unexpected status" || status == "RUNNING" || status == "":
		return "unknown"
	default:
		return "error"
	}
}

// task finds the task of a request, by the vendor's rules.
func (c *Cluster) task(q *query, exists bool, privilege string) (*task, *refusal) {
	if !validUPID.MatchString(q.text("upid")) {
		return nil, wrong("upid", "unable to parse worker upid")
	}
	t := c.tasks[backup.UPID(q.text("upid"))]
	if t == nil || t.node != q.node {
		if exists {
			return nil, wrong("upid", "no such task")
		}
		return nil, nil
	}
	if !t.owns(q.user) {
		return t, c.must(q.user, "/nodes/"+q.node.name, privilege)
	}
	return t, nil
}

func (c *Cluster) taskStatus(q *query) (any, *refusal) {
	t, r := c.task(q, true, "Sys.Audit")
	if r != nil {
		return nil, r
	}
	row := t.row()
	row["status"] = "running"
	if !t.ended.IsZero() {
		row["status"], row["exitstatus"] = "stopped", t.status
	}
	return row, nil
}

func (c *Cluster) taskLog(q *query) (any, *refusal) {
	type entry struct {
		N int    `json:"n"`
		T string `json:"t"`
	}
	t, r := c.task(q, false, "Sys.Audit")
	switch {
	case r != nil:
		return nil, r
	case t == nil:
		q.total = 1
		return []entry{{1, "unable to open file - No such file or directory"}}, nil
	case len(t.lines) == 0:
		q.total = 1
		return []entry{{1, "no content"}}, nil
	}
	start, limit := q.number("start", 0), q.number("limit", 50)
	rows := []entry{}
	for i := start; i < len(t.lines) && (limit == 0 || len(rows) < limit); i++ {
		rows = append(rows, entry{i + 1, t.lines[i]})
	}
	q.total = len(t.lines)
	return rows, nil
}

// stopTask is DELETE of a task: SIGTERM, which takes a moment.
func (c *Cluster) stopTask(q *query) (any, *refusal) {
	t, r := c.task(q, true, "Sys.Modify")
	if r == nil && t.ended.IsZero() {
		t.steps = []step{{c.now().Add(time.Second), func(at time.Time) { c.interrupt(t, at) }}}
	}
	return nil, r
}
