package pbstest

import (
	"strings"
)

func (s *Server) taskRoutes() []route {
	const one = "/nodes/{node}/tasks/{upid}"
	return []route{
		{method: "GET", path: "/nodes/{node}/tasks", handle: s.listTasks},
		{method: "GET", path: one + "/status", handle: s.taskStatus},
		{method: "GET", path: one + "/log", handle: s.taskLog},
		{method: "DELETE", path: one, handle: s.stopTask},
	}
}

// mine says whether a token may see a task: its own, or any with Audit on /system.
func (c *call) mine(t *task) bool { return t.user == c.token.id || c.may(SystemAudit) }

// listTasks lists running tasks and then ended ones, newest first. Rows of running
// ones have neither endtime nor status; the columns are worker_type and worker_id;
// the node is localhost, whatever the UPID says.
func (s *Server) listTasks(c *call) (any, error) {
	var rows []map[string]any
	add := func(running bool) {
		for i := len(s.tasks) - 1; i >= 0; i-- {
			if t := s.tasks[i]; t.running() == running && s.listed(c, t) {
				rows = append(rows, taskRow(t))
			}
		}
	}
	add(true)
	if !c.yes("running", false) {
		add(false)
	}
	start := min(int(c.num("start", 0)), len(rows))
	rows = rows[start:]
	if limit := int(c.num("limit", 50)); limit > 0 && limit < len(rows) { // 0 is all
		rows = rows[:limit]
	}
	if rows == nil {
		rows = []map[string]any{}
	}
	return page{rows, start + len(rows)}, nil
}

func (s *Server) listed(c *call, t *task) bool {
	started := t.started.Unix()
	switch {
	case !c.mine(t),
		c.has("since") && started < c.num("since", 0),
		c.has("until") && started > c.num("until", 0),
		c.has("store") && !aboutStore(t, c.str("store")),
		!strings.Contains(t.kind, c.str("typefilter")),
		!strings.Contains(t.user, c.str("userfilter")),
		c.yes("errors", false) && (t.running() || t.status == "OK"):
		return false
	}
	filters, ok := c.params["statusfilter"]
	return !ok || !t.running() && strings.Contains(strings.Join(filters, ","), class(t.status))
}

// aboutStore is how the server finds a task's datastore (its check_job_store); of
// other types of tasks it finds none.
func aboutStore(t *task, store string) bool {
	own := t.worker == store || strings.HasPrefix(t.worker, store+":")
	switch {
	case strings.HasPrefix(t.kind, "verif"):
		return own
	case t.kind == "syncjob": // remote:remote-store:store:...
		f := strings.Split(t.worker, ":")
		return len(f) > 3 && f[2] == store
	}
	return own && (t.kind == "prune" || t.kind == "prunejob" || t.kind == "backup" || t.kind == "garbage_collection")
}

// class is a status as the statusfilter calls it.
func class(status string) string {
	switch {
	case status == "OK":
		return "ok"
	case status == "unknown":
		return "unknown"
	case strings.HasPrefix(status, "WARNINGS: "):
		return "warning"
	}
	return "error"
}

func taskRow(t *task) map[string]any {
	row := map[string]any{
		"upid": t.upid(), "node": "localhost", "pid": 0x2d1, "pstart": 0x3b9, "starttime": t.started.Unix(),
		"worker_type": t.kind, "worker_id": t.worker, "user": t.user,
	}
	if !t.running() {
		row["endtime"], row["status"] = t.stopped.Unix(), t.status
	}
	return row
}

// seen finds a task that the token may see.
func (s *Server) seen(c *call) (*task, error) {
	t := s.task(c.str("upid"))
	if t == nil {
		return nil, bad("unable to open task log - No such file or directory (os error 2)")
	}
	if !c.mine(t) {
		return nil, errPermission
	}
	return t, nil
}

func (s *Server) taskStatus(c *call) (any, error) {
	t, err := s.seen(c)
	if err != nil {
		return nil, err
	}
	user, name, isToken := strings.Cut(t.user, "!")
	out := map[string]any{
		"upid": t.upid(), "node": t.node, "pid": 0x2d1, "pstart": 0x3b9, "starttime": t.started.Unix(),
		"type": t.kind, "id": t.worker, "user": user, "status": "running",
	}
	if isToken {
		out["tokenid"] = name
	}
	if !t.running() {
		out["status"], out["exitstatus"] = "stopped", t.status
	}
	return out, nil
}

// taskLog counts lines from 1 and skips those below start, so that start=0 and
// start=1 are the same; limit 0 is all (its read_task_log).
func (s *Server) taskLog(c *call) (any, error) {
	t, err := s.seen(c)
	if err != nil {
		return nil, err
	}
	start, limit := int(c.num("start", 0)), int(c.num("limit", 50))
	lines := []map[string]any{}
	for i, text := range t.log {
		if i+1 >= start && (limit == 0 || len(lines) < limit) {
			lines = append(lines, map[string]any{"n": i + 1, "t": text})
		}
	}
	return page{lines, len(t.log)}, nil
}

// stopTask stops a running task; of one that has ended the server says nothing.
func (s *Server) stopTask(c *call) (any, error) {
	t := s.task(c.str("upid"))
	if t == nil || t.user != c.token.id {
		return nil, errPermission // others' tasks take Sys.Modify, which no role here has
	}
	if t.running() {
		if t.abort != nil {
			t.abort(t)
		}
		status := "abort requested - aborting task"
		if t.kind == "backup" {
			status = "task aborted"
		}
		t.end(s.now(), status)
	}
	return nil, nil
}
