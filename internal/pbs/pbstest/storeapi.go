package pbstest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// The roles that the calls about datastores take.
var (
	auditing = []Role{DatastoreAdmin, DatastoreAudit}
	reading  = []Role{DatastoreAdmin, DatastoreAudit, DatastoreBackup} // the last: only its own groups
	changing = []Role{DatastoreAdmin}
)

func (s *Server) routes() []route {
	const one = "/admin/datastore/{store}"
	return slices.Concat([]route{
		{method: "GET", path: "/ping", open: true, handle: func(*call) (any, error) {
			return map[string]any{"pong": true}, nil
		}},
		{method: "GET", path: "/version", handle: func(*call) (any, error) {
			return map[string]any{"version": "4.2", "release": "1", "repoid": "0000000000000000"}, nil
		}},
		{method: "GET", path: "/status/datastore-usage", handle: s.usage},
		{method: "GET", path: one + "/status", need: reading, handle: s.in(false, status)},
		{method: "GET", path: one + "/groups", need: reading, handle: s.in(false, groups)},
		{method: "GET", path: one + "/snapshots", need: reading, handle: s.in(false, snapshots)},
		{method: "GET", path: one + "/namespace", need: reading, handle: s.in(false, namespaces)},
		{method: "GET", path: one + "/active-operations", need: auditing, handle: s.operations},
		{method: "GET", path: one + "/protected", need: auditing, handle: s.in(false, protected)},
		{method: "PUT", path: one + "/protected", need: changing, handle: s.in(true, protect)},
		{method: "POST", path: one + "/prune", need: changing, handle: s.in(true, s.prune)},
		{method: "POST", path: one + "/prune-datastore", need: changing, handle: s.in(true, s.pruneDatastore)},
		{method: "GET", path: one + "/gc", need: auditing, handle: s.in(false, s.gcStatus)},
		{method: "POST", path: one + "/gc", need: changing, handle: s.in(true, s.startGC)},
		{method: "POST", path: one + "/verify", need: changing, handle: s.in(false, s.verify)},
	}, s.taskRoutes(), s.configRoutes())
}

// in finds the datastore that a call is about, and refuses it if its maintenance
// mode does not allow that.
func (s *Server) in(write bool, handle func(*call, *datastore) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		d := s.store(c.str("store"))
		if d == nil {
			return nil, bad("no such datastore '%s'", c.str("store"))
		}
		if err := d.maintained(write); err != nil {
			return nil, err
		}
		return handle(c, d)
	}
}

// usage shows each datastore; one that is offline with an error instead of numbers.
func (s *Server) usage(c *call) (any, error) {
	out := []map[string]any{}
	for _, d := range s.stores {
		if !c.may(reading...) {
			continue
		}
		row := map[string]any{"store": d.Name, "backend-type": "filesystem", "mount-status": "nonremovable"}
		if err := d.maintained(false); err != nil {
			row["error"] = err.Error()
		} else {
			row["total"], row["used"], row["avail"] = d.Size, d.Size-d.available(), d.available()
			row["gc-status"] = d.gc
		}
		out = append(out, row)
	}
	return out, nil
}

func status(c *call, d *datastore) (any, error) {
	out := map[string]any{
		"total": d.Size, "used": d.Size - d.available(), "avail": d.available(), "backend-type": "filesystem",
	}
	if c.yes("verbose", false) {
		out["gc-status"] = d.gc
	}
	return out, nil
}

// of lists the backups of a call's namespace that its token may see, oldest first,
// with its backup-type and backup-id if they are given.
func (c *call) of(d *datastore) []*snapshot { return c.within(d, 0) }

// within lists those of the namespaces below, too, so many levels deep.
func (c *call) within(d *datastore, depth int) []*snapshot {
	var out []*snapshot
	for _, s := range d.snaps {
		kind, id, _ := strings.Cut(s.Group, "/")
		level, in := below(c.str("ns"), s.ns)
		switch {
		case !in || level > depth,
			c.has("backup-type") && kind != c.str("backup-type"),
			c.has("backup-id") && id != c.str("backup-id"),
			!c.may(auditing...) && s.Owner != c.token.id:
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *snapshot) int {
		return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.Group, b.Group), a.Time.Compare(b.Time))
	})
	return out
}

// maxDepth is how many levels of namespaces there can be.
const maxDepth = 7

// below says how many levels the namespace ns is below top, if it is.
func below(top, ns string) (levels int, ok bool) {
	if ns == top {
		return 0, true
	}
	rest, ok := strings.CutPrefix(ns, top+"/")
	if top == "" {
		rest, ok = ns, true
	}
	return 1 + strings.Count(rest, "/"), ok
}

// one finds the backup that backup-type, -id and -time name.
func (c *call) one(d *datastore) (*snapshot, error) {
	for _, s := range c.of(d) {
		if s.Time.Unix() == c.num("backup-time", 0) {
			return s, nil
		}
	}
	return nil, bad("snapshot %s/%s/%s does not exist!", c.str("backup-type"), c.str("backup-id"),
		time.Unix(c.num("backup-time", 0), 0).UTC().Format(time.RFC3339))
}

func (s *snapshot) place() map[string]any {
	kind, id, _ := strings.Cut(s.Group, "/")
	return map[string]any{"backup-type": kind, "backup-id": id, "backup-time": s.Time.Unix()}
}

func (s *snapshot) files() []string {
	config, index, log := fileNames(s.Group)
	if !s.Finished {
		return []string{config}
	}
	return []string{config, index, log, manifestName}
}

// snapshots lists backups. Of the manifest's files there is more than the schema's
// name; of an unfinished one there are names only, and neither size nor comment.
func snapshots(c *call, d *datastore) (any, error) {
	out := []map[string]any{}
	for _, s := range c.of(d) {
		row := s.place()
		row["owner"], row["protected"] = s.Owner, s.Protected
		files := []map[string]any{}
		for _, name := range s.files() {
			file := map[string]any{"filename": name}
			if s.Finished {
				file["crypt-mode"], file["size"] = "none", 512
			}
			files = append(files, file)
		}
		row["files"] = files
		if s.Finished {
			row["size"] = s.Size
			if comment, _, _ := strings.Cut(s.Notes, "\n"); comment != "" {
				row["comment"] = comment // the first line of the notes
			}
			if s.Verified != "" {
				row["verification"] = map[string]any{"state": s.Verified, "upid": s.verdict()}
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// verdict is the task that verified a backup; that of a backup which was put here
// as verified is long gone.
func (s *snapshot) verdict() backup.UPID {
	return cmp.Or(s.verified, backup.UPID("UPID:pbs:000002D1:000003B9:00000001:00000001:verify:gone:root@pam:"))
}

func groups(c *call, d *datastore) (any, error) {
	rows := map[string]map[string]any{}
	for _, s := range c.of(d) {
		row := rows[s.Group]
		if row == nil {
			row = s.place()
			delete(row, "backup-time")
			row["backup-count"] = 0
			rows[s.Group] = row
		}
		row["owner"], row["files"], row["last-backup"] = s.Owner, s.files(), s.Time.Unix()
		row["backup-count"] = row["backup-count"].(int) + 1
	}
	out := []map[string]any{}
	for _, g := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, rows[g])
	}
	return out, nil
}

func namespaces(_ *call, d *datastore) (any, error) {
	seen := map[string]bool{"": true}
	for _, s := range d.snaps {
		seen[s.ns] = true
	}
	out := []map[string]any{}
	for _, ns := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, map[string]any{"ns": ns})
	}
	return out, nil
}

// operations counts what is open, whatever the maintenance mode: that is what it is
// there for.
func (s *Server) operations(c *call) (any, error) {
	d := s.store(c.str("store"))
	if d == nil {
		return nil, bad("no such datastore '%s'", c.str("store"))
	}
	write, read := d.writers(), 0
	for _, t := range s.tasks {
		if !t.running() || !aboutStore(t, d.Name) || t.kind == "backup" {
			continue
		}
		if strings.HasPrefix(t.kind, "verif") {
			read++
		} else {
			write++
		}
	}
	return map[string]any{"read": read, "write": write}, nil
}

func protected(c *call, d *datastore) (any, error) {
	s, err := c.one(d)
	if err != nil {
		return nil, err
	}
	return s.Protected, nil
}

func protect(c *call, d *datastore) (any, error) {
	s, err := c.one(d)
	if err != nil {
		return nil, err
	}
	s.Protected = c.yes("protected", false)
	return nil, d.writeProtected(s)
}
