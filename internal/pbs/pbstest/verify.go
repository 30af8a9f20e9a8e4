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
	list := c.within(d, int(c.num("max-depth", maxDepth)))
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
		list = c.of(d)
		kind, worker = "verify_group", fmt.Sprintf("%s:%s/%s", d.Name, path, group)
	case c.has("backup-type"), c.has("backup-id"), c.has("backup-time"):
		return nil, bad("parameters do not specify a backup group or snapshot")
	}
	t := s.start(kind, worker, c.token.id)
	v := verification{d: d, t: t, ignore: c.yes("ignore-verified", true), days: c.num("outdated-after", -1)}
	t.finish = func(*task) string {
		switch kind {
		case "verify_snapshot":
			return v.end(v.one(list[0]))
		case "verify":
			t.say(t.due, "verify datastore %s", d.Name)
		}
		return v.end(v.all(byGroup(list), kind == "verify"))
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

// verification is a verify at work.
type verification struct {
	d      *datastore
	t      *task
	ignore bool  // what was verified,
	days   int64 // unless it was more than so many days ago
	failed []string
}

// all verifies group by group, of each the newest first.
func (v *verification) all(groups [][]*snapshot, found bool) error {
	if found {
		v.t.say(v.t.due, "found %d groups", len(groups))
	}
	for i, list := range groups {
		v.t.say(v.t.due, "verify group %s:%s (%d snapshots)", v.d.Name, list[0].Group, len(list))
		for j := range list {
			if err := v.one(list[len(list)-1-j]); err != nil {
				return err
			}
			v.t.say(v.t.due, "percentage done: %s", progress(i, len(groups), j+1, len(list)))
		}
	}
	return nil
}

// progress is how far a verify is, in one of the server's three forms: done groups
// of all, and done snapshots of the group.
func progress(group, groups, snap, snaps int) string {
	part := 100 * (float64(group) + float64(snap)/float64(snaps)) / float64(groups)
	switch {
	case groups == 1:
		return fmt.Sprintf("%.2f%% (%d/%d snapshots)", part, snap, snaps)
	case snap == snaps:
		return fmt.Sprintf("%.2f%% (%d/%d groups)", part, group+1, groups)
	}
	return fmt.Sprintf("%.2f%% (%d/%d groups, %d/%d snapshots in group #%d)", part, group, groups, snap, snaps, group+1)
}

// one reads a backup and writes the verdict into its manifest, which is allowed in
// read-only mode, too.
func (v *verification) one(s *snapshot) error {
	t := v.t
	switch {
	case v.d.find(s.ns, s.Group, s.Time) != s: // pruned meanwhile
		t.say(t.due, "SKIPPED: verify %s:%s - snapshot does not exist (anymore).", v.d.Name, s.ID())
		return nil
	case s.writer.alive():
		t.say(t.due, "SKIPPED: verify %s:%s - could not acquire snapshot lock: locked by another operation", v.d.Name, s.ID())
		return nil
	case !s.Finished: // what a crash left fails the whole task
		t.say(t.due, "verify %s:%s - manifest load error: unable to load blob '\"%s\"' - No such file or directory (os error 2)",
			v.d.Name, s.ID(), manifestName)
		v.failed = append(v.failed, s.ID())
		return nil
	case v.ignore && !outdated(s, t.started, v.days):
		t.say(t.due, "SKIPPED: verify %s:%s (recently verified)", v.d.Name, s.ID())
		return nil
	}
	t.say(t.due, "verify %s:%s", v.d.Name, s.ID())
	_, index, _ := fileNames(s.Group)
	t.say(t.due, "  check %s", index)
	errors := 0
	s.Verified, s.verified, s.checked = backup.VerifiedOK, t.upid(), t.started
	if s.damaged || v.d.Dir != "" && checkBackup(v.d.Dir, v.d.folder(s)) != nil {
		errors, s.Verified = 1, backup.VerifiedFailed
		v.failed = append(v.failed, s.ID())
	}
	t.say(t.due, "  verified %.2f/%.2f MiB in %.2f seconds, speed 100.00/200.00 MiB/s (%d errors)",
		float64(s.Size)/(2<<20), float64(s.Size)/(1<<20), t.due.Sub(t.started).Seconds(), errors)
	return v.d.writeVerified(s)
}

// end is the status of the task.
func (v *verification) end(err error) string {
	if err != nil {
		return err.Error()
	}
	if len(v.failed) == 0 {
		return "OK"
	}
	v.t.say(v.t.due, "Failed to verify the following snapshots/groups:")
	for _, id := range v.failed {
		v.t.say(v.t.due, "\t%s", id)
	}
	return "verification failed - please check the log for details"
}

// byGroup divides a list that is in order of namespace and group.
func byGroup(list []*snapshot) (out [][]*snapshot) {
	for i, s := range list {
		if i == 0 || s.ns != list[i-1].ns || s.Group != list[i-1].Group {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}
