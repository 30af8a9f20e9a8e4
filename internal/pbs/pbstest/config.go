package pbstest

import (
	"slices"
	"strings"
)

func (s *Server) configRoutes() []route {
	jobs := func(kind string) route {
		return route{method: "GET", path: "/config/" + kind, need: auditing, handle: func(*call) (any, error) {
			return s.listJobs(kind), nil
		}}
	}
	return []route{
		jobs("prune"), jobs("verify"), jobs("sync"),
		{method: "GET", path: "/admin/datastore", handle: s.listDatastores},
		{method: "GET", path: "/access/permissions", handle: s.permissions},
		{method: "GET", path: "/config/datastore/{name}", need: auditing, handle: s.readConfig},
		{method: "PUT", path: "/config/datastore/{name}", need: changing, handle: s.writeConfig},
	}
}

func (s *Server) listJobs(kind string) []map[string]any {
	out := []map[string]any{}
	for _, j := range s.jobs[kind] {
		row := map[string]any{"id": j.ID, "store": j.Store}
		if j.Schedule != "" {
			row["schedule"] = j.Schedule
		}
		switch kind {
		case "prune":
			row["keep-last"] = 3
			if j.Disable {
				row["disable"] = true
			}
		case "sync":
			row["remote-store"] = "elsewhere"
		}
		out = append(out, row)
	}
	return out
}

func (s *Server) listDatastores(c *call) (any, error) {
	out := []map[string]any{}
	for _, d := range s.stores {
		if !c.may(reading...) {
			continue
		}
		row := map[string]any{"store": d.Name, "backend-type": "filesystem", "mount-status": "nonremovable"}
		if d.mode != "" {
			row["maintenance"] = d.maintenance()
		}
		out = append(out, row)
	}
	return out, nil
}

// maintenance is the mode as the configuration has it, a property string.
func (d *datastore) maintenance() string {
	out := "type=" + d.mode
	if d.message != "" {
		out += `,message="` + d.message + `"`
	}
	return out
}

func (s *Server) readConfig(c *call) (any, error) {
	d := s.store(c.str("name"))
	if d == nil {
		return nil, bad("no such datastore '%s'", c.str("name"))
	}
	path := d.Dir
	if path == "" {
		path = "/mnt/datastore/" + d.Name
	}
	out := map[string]any{"name": d.Name, "path": path}
	if d.GCSchedule != "" {
		out["gc-schedule"] = d.GCSchedule
	}
	if d.mode != "" {
		out["maintenance-mode"] = d.maintenance()
	}
	return out, nil
}

// writeConfig takes the maintenance mode and the GC schedule; other settings are
// refused, since nothing here would heed them.
func (s *Server) writeConfig(c *call) (any, error) {
	d := s.store(c.str("name"))
	if d == nil {
		return nil, bad("no such datastore '%s'", c.str("name"))
	}
	for name := range c.params {
		if !slices.Contains([]string{"name", "maintenance-mode", "gc-schedule", "delete"}, name) {
			return nil, bad("not simulated: %s", name)
		}
	}
	for _, name := range c.params["delete"] {
		switch name {
		case "maintenance-mode":
			d.mode, d.message = "", ""
		case "gc-schedule":
			d.GCSchedule = ""
		}
	}
	if c.has("gc-schedule") {
		d.GCSchedule = c.str("gc-schedule")
	}
	if c.has("maintenance-mode") {
		mode, message, _ := strings.Cut(c.str("maintenance-mode"), ",")
		d.mode = strings.TrimPrefix(mode, "type=")
		d.message = strings.Trim(strings.TrimPrefix(message, "message="), `"`)
	}
	return nil, nil
}
