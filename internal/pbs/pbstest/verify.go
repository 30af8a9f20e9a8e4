package pbstest

import (
	"fmt"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// verify starts the verification of one backup, one group or all of a namespace.
func (s *Server) verify(c *call, d *datastore) (any, error) {
	kind, worker := "verify", d.Name
	path := "" // of the namespace, in worker IDs: ns/a/ns/b
	if ns := c.str("ns"); ns != "" {
		path = "ns/" + strings.ReplaceAll(ns, "/", "/ns/")
		worker += ":" + path
	}
	list := c.of(d)
	group := c.str("backup-type") + "/" + c.str("backup-id")
	switch {
	case c.has("backup-type") && c.has("backup-id") && c.has("backup-time"):
		one, err := c.one(d)
		if err != nil {
			return nil, err
		}
		list = []*snapshot{one}
		kind, worker = "verify_snapshot", fmt.Sprintf("%s:%s/%s/%08X", d.Name, path, group, one.Time.Unix())
	case c.has("backup-type") && c.has("backup-id"):
		kind, worker = "verify_group", fmt.Sprintf("%s:%s/%s", d.Name, path, group)
	case c.has("backup-type"), c.has("backup-id"), c.has("backup-time"):
		return nil, bad("parameters do not specify a backup group or snapshot")
	}
	t := s.start(kind, worker, c.token.id)
	ignore, days := c.yes("ignore-verified", true), c.num("outdated-after", -1)
	t.finish = func(t *task) string {
		var todo []*snapshot
		for _, snap := range list {
			if snap.Finished && (!ignore || outdated(snap, t.started, days)) {
				todo = append(todo, snap)
			}
		}
		return d.verify(t, todo)
	}
	return t.upid(), nil
}

// outdated says whether a backup is to be verified again although it may have been:
// a negative number of days is never.
func outdated(s *snapshot, now time.Time, days int64) bool {
	if s.Verified == "" {
		return true
	}
	return days >= 0 && int64(now.Sub(s.checked)/(24*time.Hour)) > days
}

// verify reads the backups and writes its verdict into each manifest, which is
// allowed in read-only mode, too.
func (d *datastore) verify(t *task, list []*snapshot) (status string) {
	var failed []string
	for i, s := range list {
		if d.find(s.ns, s.Group, s.Time) == nil {
			continue // pruned meanwhile
		}
		t.say(t.due, "verify %s:%s", d.Name, s.ID())
		_, index, _ := fileNames(s.Group)
		t.say(t.due, "  check %s", index)
		errors := 0
		s.Verified, s.verified, s.checked = backup.VerifiedOK, t.upid(), t.started
		if s.damaged || d.Dir != "" && checkBackup(d.Dir, d.folder(s)) != nil {
			errors, s.Verified = 1, backup.VerifiedFailed
			failed = append(failed, s.ID())
		}
		t.say(t.due, "  verified %.2f/%.2f MiB in %.2f seconds, speed 100.00/200.00 MiB/s (%d errors)",
			float64(s.Size)/(2<<20), float64(s.Size)/(1<<20), t.due.Sub(t.started).Seconds(), errors)
		t.say(t.due, "percentage done: %.2f%% (%d/%d snapshots)", float64(100*(i+1))/float64(len(list)), i+1, len(list))
		if err := d.writeVerified(s); err != nil {
			return err.Error()
		}
	}
	if len(failed) == 0 {
		return "OK"
	}
	t.say(t.due, "Failed to verify the following snapshots/groups:")
	for _, id := range failed {
		t.say(t.due, "\t%s", id)
	}
	return "verification failed - please check the log for details"
}
