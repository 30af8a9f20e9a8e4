package pbstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// gcCutoff is how long a chunk must not have been touched before it may go: a day
// and five minutes (gc-atime-cutoff), because clients may still count on a chunk
// that they saw in the last backup.
const gcCutoff = 24*time.Hour + 5*time.Minute

// gcStatus is what the last garbage collection found.
type gcStatus struct {
	UPID          backup.UPID `json:"upid,omitempty"`
	IndexFiles    int         `json:"index-file-count"`
	IndexBytes    int64       `json:"index-data-bytes"`
	DiskChunks    int         `json:"disk-chunks"`
	DiskBytes     int64       `json:"disk-bytes"`
	RemovedChunks int         `json:"removed-chunks"`
	RemovedBytes  int64       `json:"removed-bytes"`
	PendingChunks int         `json:"pending-chunks"`
	PendingBytes  int64       `json:"pending-bytes"`
	RemovedBad    int         `json:"removed-bad"`
	StillBad      int         `json:"still-bad"`
}

func (s *Server) gcStatus(_ *call, d *datastore) (any, error) {
	data, err := json.Marshal(d.gc)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, err
	}
	out["store"] = d.Name
	if d.GCSchedule != "" {
		out["schedule"] = d.GCSchedule
	}
	if t := s.task(string(d.gc.UPID)); t != nil && !t.running() {
		out["last-run-state"], out["last-run-endtime"] = t.status, t.stopped.Unix()
	}
	return out, nil
}

// startGC starts garbage collection, of which there is one at a time.
func (s *Server) startGC(c *call, d *datastore) (any, error) {
	if s.find("garbage_collection", d.Name) != nil {
		return nil, bad("garbage collection already running")
	}
	return s.collect(d, c.token.id).upid(), nil
}

// StartGC starts a garbage collection that is not ours, as the server's own timer
// does.
func (st *Store) StartGC() backup.UPID {
	defer st.use()()
	return st.server.collect(st.data, "root@pam").upid()
}

func (s *Server) collect(d *datastore, user string) *task {
	t := s.start("garbage_collection", d.Name, user)
	t.say(t.started, "starting garbage collection on store %s", d.Name)
	t.finish = func(t *task) string {
		if err := d.collect(t); err != nil {
			return err.Error()
		}
		return "OK"
	}
	return t
}

// collect marks what the finished backups refer to and sweeps what was not touched
// for long enough, as of the task's start.
func (d *datastore) collect(t *task) error {
	g := gcStatus{UPID: t.upid()}
	oldest := t.started // writer
	for _, s := range d.snaps {
		if s.writer.alive() && s.writer.started.Before(oldest) {
			oldest = s.writer.started
		}
	}
	t.say(t.started, "Start GC phase1 (mark used chunks)")
	if err := d.mark(t, &g); err != nil {
		return err
	}
	t.say(t.due, "Start GC phase2 (sweep unused chunks)")
	limit := t.started.Add(-gcCutoff)
	if oldest.Before(limit) {
		limit = oldest
	}
	ids := slices.SortedFunc(maps.Keys(d.chunks), func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		c := d.chunks[id]
		switch {
		case c.atime.Before(limit):
			if err := d.removeChunk(id); err != nil {
				return err
			}
			delete(d.chunks, id)
			g.RemovedChunks++
			g.RemovedBytes += c.size
		case c.atime.Before(oldest):
			g.PendingChunks++
			g.PendingBytes += c.size
		default:
			g.DiskChunks++
			g.DiskBytes += c.size
		}
	}
	g.report(t)
	d.gc = g
	return d.writeGCStatus()
}

// mark touches every chunk that a finished backup refers to.
func (d *datastore) mark(t *task, g *gcStatus) error {
	for _, s := range d.snaps {
		if !s.Finished {
			continue
		}
		g.IndexFiles++
		for _, id := range s.chunks {
			c := d.chunks[id]
			if c == nil {
				return fmt.Errorf("marking used chunks failed: chunk of %s is not there", s.ID())
			}
			g.IndexBytes += c.size
			if c.atime.Before(t.started) {
				c.atime = t.started
				if err := d.touchChunk(id, t.started); err != nil {
					return err
				}
			}
		}
	}
	t.say(t.due, "marked 100%% (%d of %d index files)", g.IndexFiles, g.IndexFiles)
	return nil
}

func (g gcStatus) report(t *task) {
	say := func(format string, args ...any) { t.say(t.due, format, args...) }
	say("Removed garbage: %s", human(g.RemovedBytes))
	say("Removed chunks: %d", g.RemovedChunks)
	if g.PendingBytes > 0 {
		say("Pending removals: %s (in %d chunks)", human(g.PendingBytes), g.PendingChunks)
	}
	say("Original data usage: %s", human(g.IndexBytes))
	if g.IndexBytes > 0 {
		say("On-Disk usage: %s (%.2f%%)", human(g.DiskBytes), float64(g.DiskBytes)*100/float64(g.IndexBytes))
	}
	say("On-Disk chunks: %d", g.DiskChunks)
	if g.DiskBytes > 0 {
		say("Deduplication factor: %.2f", float64(g.IndexBytes)/float64(g.DiskBytes))
		say("Average chunk size: %s", human(g.DiskBytes/int64(g.DiskChunks)))
	}
}

// human writes bytes as the server does: 12.4 GiB.
func human(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

func (d *datastore) writeGCStatus() error {
	if d.Dir == "" {
		return nil
	}
	data, err := json.Marshal(d.gc)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.Dir, ".gc-status"), data, 0o640)
}
