package pbs

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// writing are the types of the tasks that write to a datastore. Verify reads, and
// what it writes (its verdict, into the manifest) harms nobody.
var writing = []string{"backup", "prune", "prunejob", "garbage_collection", "syncjob"}

// State is what a run depends on. Maintenance is a state, not an error: of an
// offline datastore the sizes are unknown and left zero.
func (c *Client) State(ctx context.Context) (backup.DatastoreState, error) {
	s, err := c.state(ctx)
	if err != nil {
		return backup.DatastoreState{}, fmt.Errorf("state of %s: %w", c.datastore, err)
	}
	return s, nil
}

func (c *Client) state(ctx context.Context) (s backup.DatastoreState, err error) {
	version, err := get[struct {
		Version string `json:"version"`
		Release string `json:"release"`
	}](ctx, c, "/version", nil)
	if err != nil {
		return s, err
	}
	s.Version = oneLine(version.Data.Version+"."+version.Data.Release, 40)

	config, err := get[datastoreConfig](ctx, c, "/config/datastore/"+url.PathEscape(c.datastore), nil)
	if err != nil {
		return s, err
	}
	s.Maintenance = maintenance(config.Data.Maintenance)
	if s.Maintenance == "" || s.Maintenance == "read-only" {
		space, err := get[struct {
			Total int64 `json:"total"`
			Avail int64 `json:"avail"`
		}](ctx, c, c.path("status"), nil)
		if err != nil {
			return s, err
		}
		s.Size, s.Available = max(space.Data.Total, 0), max(space.Data.Avail, 0)
	}

	ops, err := get[struct {
		Write int `json:"write"`
	}](ctx, c, c.path("active-operations"), nil)
	if err != nil {
		return s, err
	}
	s.Writers = max(ops.Data.Write, 0)
	if s.Busy, err = c.busy(ctx); err != nil {
		return s, err
	}
	s.Timers, err = c.timers(ctx, config.Data)
	return s, err
}

type datastoreConfig struct {
	Maintenance string `json:"maintenance-mode"`
	GC          string `json:"gc-schedule"`
	Prune       string `json:"prune-schedule"` // of old: now it is a job
}

// maintenance is the type in a datastore's maintenance-mode, a property string:
// type=read-only,message="..." or read-only,message="...".
func maintenance(mode string) string {
	if mode == "" {
		return ""
	}
	kind := ""
	for part := range splitQuoted(mode) {
		key, value, named := strings.Cut(part, "=")
		if !named {
			key, value = "type", key
		}
		if key == "type" {
			kind = strings.Trim(value, `" `)
		}
	}
	return cmp.Or(oneLine(kind, 40), "unknown")
}

// splitQuoted splits at commas outside of quotes.
func splitQuoted(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted := false
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool {
			if r == '"' {
				quoted = !quoted
			}
			return r == ',' && !quoted
		}) {
			if !yield(part) {
				return
			}
		}
	}
}

// busy lists the running tasks that write to the datastore.
func (c *Client) busy(ctx context.Context) ([]string, error) {
	found, err := c.running(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range found {
		if !slices.Contains(writing, t.Type) {
			continue
		}
		what := strings.TrimPrefix(strings.TrimPrefix(t.WorkerID, c.datastore), ":")
		out = append(out, oneLine(strings.TrimSpace(t.Type+" "+what), 120))
	}
	slices.Sort(out)
	return out, nil
}

// timers lists the server's own enabled schedules of our datastore. Of sync jobs
// only those that pull, and so write to it, are listed by default.
func (c *Client) timers(ctx context.Context, config datastoreConfig) ([]string, error) {
	var out []string
	add := func(what, schedule string) {
		if schedule != "" {
			out = append(out, oneLine(fmt.Sprintf("%s (%s)", what, schedule), 120))
		}
	}
	add("garbage collection", config.GC)
	add("prune", config.Prune)
	for _, kind := range []string{"prune", "verify", "sync"} {
		jobs, err := get[[]job](ctx, c, "/config/"+kind, nil)
		if err != nil {
			return nil, err
		}
		for _, j := range jobs.Data {
			if j.Store == c.datastore && !j.Disable {
				add(kind+" job "+j.ID, j.Schedule)
			}
		}
	}
	return out, nil
}

type job struct {
	ID       string `json:"id"`
	Store    string `json:"store"`
	Schedule string `json:"schedule"` // empty: only by hand
	Disable  bool   `json:"disable"`
}
