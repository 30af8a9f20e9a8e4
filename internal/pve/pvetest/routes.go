package pvetest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// route is a method of the API that is simulated.
type route struct {
	method, path string
	params       []string // names, for when there is no schema
	// needs is the permission that is checked before anything else, if any.
	needs func(*query) (path string, privileges []string)
	do    func(*query) (any, *refusal)
}

func (c *Cluster) table() []route {
	audit := func(*query) (string, []string) { return "/", []string{"Sys.Audit"} }
	vm := func(q *query) (string, []string) { return "/vms/" + q.text("vmid"), []string{"VM.Audit"} }
	vzdump := []string{"all", "bwlimit", "compress", "dumpdir", "exclude", "exclude-path", "fleecing", "ionice", "job-id", "lockwait",
		"mailnotification", "mailto", "mode", "node", "notes-template", "notification-mode", "pbs-change-detection-mode", "performance", "pigz",
		"pool", "protected", "prune-backups", "quiet", "remove", "script", "stdexcludes", "stop", "stopwait", "storage", "tmpdir", "vmid", "zstd"}
	tasks := []string{"node", "errors", "limit", "since", "source", "start", "statusfilter", "typefilter", "until", "userfilter", "vmid"}
	return []route{
		{"GET", "/version", nil, nil, c.version},
		{"GET", "/nodes/{node}/version", []string{"node"}, nil, c.version},
		{"GET", "/cluster/status", nil, audit, c.clusterStatus},
		{"GET", "/cluster/resources", []string{"type"}, nil, c.resources},
		{"GET", "/cluster/backup", nil, audit, c.backupJobs},
		{"GET", "/cluster/tasks", nil, nil, c.clusterTasks},
		{"GET", "/access/permissions", []string{"path", "userid"}, nil, c.permissions},
		{"GET", "/nodes", nil, nil, c.nodeList},
		{"GET", "/nodes/{node}/qemu/{vmid}/pending", []string{"node", "vmid"}, vm, c.pending(backup.VM)},
		{"GET", "/nodes/{node}/lxc/{vmid}/pending", []string{"node", "vmid"}, vm, c.pending(backup.Container)},
		{"GET", "/nodes/{node}/storage", []string{"node", "content", "enabled", "format", "storage", "target"}, nil, c.nodeStorage},
		{"GET", "/storage", []string{"type"}, nil, c.storageList},
		{"GET", "/nodes/{node}/tasks", tasks, nil, c.listTasks},
		{"GET", "/nodes/{node}/tasks/{upid}/status", []string{"node", "upid"}, nil, c.taskStatus},
		{"GET", "/nodes/{node}/tasks/{upid}/log", []string{"node", "upid", "start", "limit", "download"}, nil, c.taskLog},
		{"DELETE", "/nodes/{node}/tasks/{upid}", []string{"node", "upid"}, nil, c.stopTask},
		{"POST", "/nodes/{node}/vzdump", vzdump, nil, c.postVzdump},
	}
}

// route finds the method of a path, and what its placeholders are.
func (c *Cluster) route(q *query, method, path string) *route {
	for i := range c.routes {
		if rt := &c.routes[i]; rt.method == method {
			if values, ok := match(rt.path, path); ok {
				q.path = values
				return rt
			}
		}
	}
	return nil
}

// match compares a template such as /nodes/{node} with an escaped path.
func match(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i, part := range want {
		text, err := url.PathUnescape(got[i])
		name, isName := strings.CutPrefix(part, "{")
		if err != nil || !isName && text != part || text == "" && part != "" {
			return nil, false
		}
		if isName {
			values[strings.TrimSuffix(name, "}")] = text
		}
	}
	return values, true
}

func (c *Cluster) version(*query) (any, *refusal) {
	return map[string]any{"version": "9.2.3", "release": "9.2", "repoid": "14a22df35955d97d"}, nil
}

func (c *Cluster) clusterStatus(q *query) (any, *refusal) {
	rows := []map[string]any{}
	if len(c.nodes) > 1 {
		rows = append(rows, map[string]any{"type": "cluster", "id": "cluster", "name": c.name(), "nodes": len(c.nodes), "version": 1, "quorate": bit(c.quorate)})
	}
	for i, n := range c.nodes {
		rows = append(rows, map[string]any{
			"type": "node", "id": "node/" + n.name, "name": n.name, "nodeid": i + 1, "ip": fmt.Sprintf("192.0.2.%d", i+1),
			"local": bit(n == q.node), "online": bit(!n.down), "level": "",
		})
	}
	return rows, nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (n *node) status() string {
	if n.down {
		return "offline"
	}
	return "online"
}

func (c *Cluster) nodeList(*query) (any, *refusal) {
	rows := []map[string]any{}
	for _, n := range c.nodes {
		rows = append(rows, map[string]any{"type": "node", "id": "node/" + n.name, "node": n.name, "status": n.status(), "level": "", "ssl_fingerprint": n.cert.fingerprint})
	}
	return rows, nil
}

func (c *Cluster) resources(q *query) (any, *refusal) {
	rows, kind := []map[string]any{}, q.text("type")
	for _, vmid := range slices.Sorted(maps.Keys(c.guests)) {
		g := c.guests[vmid]
		if kind != "" && kind != "vm" || !c.may(q.user, fmt.Sprintf("/vms/%d", vmid), "VM.Audit") {
			continue
		}
		status := "running"
		switch {
		case c.node(g.Node).down:
			status = "unknown"
		case g.Stopped || g.Template:
			status = "stopped"
		}
		row := map[string]any{
			"id": fmt.Sprintf("%s/%d", g.Type, vmid), "vmid": vmid, "type": string(g.Type), "node": g.Node, "status": status,
			"template": bit(g.Template), "maxdisk": g.Size, "disk": 0, "maxmem": 2 << 30, "mem": 1 << 30, "cpu": 0.01, "maxcpu": 2, "uptime": 86400,
		}
		if g.Name != "" {
			row["name"] = g.Name
		}
		if g.Lock != "" {
			row["lock"] = g.Lock
		}
		rows = append(rows, row)
	}
	for _, n := range c.nodes {
		if kind == "" || kind == "node" {
			rows = append(rows, map[string]any{"id": "node/" + n.name, "type": "node", "node": n.name, "status": n.status()})
		}
		for _, s := range c.storages {
			if (kind == "" || kind == "storage") && !s.Disabled && c.may(q.user, "/storage/"+s.Name, "Datastore.Audit") {
				rows = append(rows, map[string]any{"id": "storage/" + n.name + "/" + s.Name, "type": "storage", "node": n.name, "storage": s.Name, "plugintype": s.Type, "status": "available"})
			}
		}
	}
	return rows, nil
}

func (c *Cluster) backupJobs(*query) (any, *refusal) {
	rows := []map[string]any{}
	for _, j := range c.cfg.Jobs {
		rows = append(rows, map[string]any{"id": j.ID, "type": "vzdump", "storage": j.Storage, "enabled": bit(!j.Disabled), "all": 1, "mode": "snapshot", "schedule": "02:00",
			"prune-backups": map[string]any{"keep-all": 1}, "next-run": c.now().Unix() + 3600})
	}
	return rows, nil
}

// clusterTasks keeps to what pmxcfs holds: active tasks and few others.
func (c *Cluster) clusterTasks(q *query) (any, *refusal) {
	rows := []map[string]any{}
	for _, n := range c.nodes {
		list := slices.Clone(n.archive[0])
		if len(list) > 25 {
			list = list[len(list)-25:]
		}
		for _, t := range append(list, n.active...) {
			if t.owns(q.user) || c.may(q.user, "/nodes/"+n.name, "Sys.Audit") {
				row := t.row()
				if !t.ended.IsZero() {
					row["endtime"], row["status"] = t.ended.Unix(), t.status
				}
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

// pending is a guest's configuration, one row a key.
func (c *Cluster) pending(kind backup.GuestType) func(*query) (any, *refusal) {
	return func(q *query) (any, *refusal) {
		vmid, _ := strconv.Atoi(q.text("vmid")) // checked
		g := c.guests[vmid]
		if g == nil || g.Type != kind || g.Node != q.node.name {
			folder := map[backup.GuestType]string{backup.VM: "qemu-server", backup.Container: "lxc"}[kind]
			return nil, &refusal{code: 500, message: fmt.Sprintf("Configuration file 'nodes/%s/%s/%d.conf' does not exist\n", q.node.name, folder, vmid)}
		}
		rows := []map[string]any{{"key": "digest", "value": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}}
		for _, key := range slices.Sorted(maps.Keys(g.Config)) {
			rows = append(rows, map[string]any{"key": key, "value": g.Config[key]})
		}
		return rows, nil
	}
}

func (c *Cluster) seen(q *query) (list []Storage) {
	for _, s := range c.storages {
		if c.may(q.user, "/storage/"+s.Name, "Datastore.Audit", "Datastore.AllocateSpace") {
			list = append(list, s)
		}
	}
	return list
}

func (s Storage) content() string {
	if s.Type == "pbs" {
		return "backup"
	}
	return "images,rootdir"
}

func (c *Cluster) storageList(q *query) (any, *refusal) {
	rows := []map[string]any{}
	for _, s := range c.seen(q) {
		if q.has("type") && q.text("type") != s.Type {
			continue
		}
		row := map[string]any{"storage": s.Name, "type": s.Type, "content": s.content(), "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}
		for key, value := range map[string]string{"datastore": s.Datastore, "namespace": s.Namespace, "pool": s.Pool, "prune-backups": s.Prune} {
			if value != "" {
				row[key] = value
			}
		}
		if s.Type == "pbs" && s.Prune == "" {
			row["prune-backups"] = "keep-all=1"
		}
		if s.Disabled {
			row["disable"] = 1
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *Cluster) nodeStorage(q *query) (any, *refusal) {
	rows := []map[string]any{}
	for _, s := range c.seen(q) {
		if s.Disabled || q.has("storage") && q.text("storage") != s.Name || q.has("content") && !strings.Contains(s.content(), q.text("content")) {
			continue
		}
		up := !slices.Contains(s.Down, q.node.name)
		rows = append(rows, map[string]any{
			"storage": s.Name, "type": s.Type, "content": s.content(), "active": bit(up), "enabled": 1, "shared": bit(s.Type == "pbs"),
			"total": 8 << 40, "used": 1 << 40, "avail": 7 << 40,
		})
	}
	if len(rows) == 0 && q.has("storage") {
		return nil, wrong("storage", "No such storage.")
	}
	return rows, nil
}
