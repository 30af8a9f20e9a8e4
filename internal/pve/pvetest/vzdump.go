package pvetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// dump is what a vzdump task is about.
type dump struct {
	params  map[string]string
	vmids   []int
	skipped []int // on other nodes
	storage string
	failed  int    // guests
	now     *guest // being saved
	at      time.Time
	sending bool // Begin said yes, neither Save nor Abort was told
}

func (d *dump) group() string { return d.now.backup().Group() }

func (g *guest) backup() backup.Guest {
	return backup.Guest{VMID: g.VMID, Type: g.Type, Name: g.Name, Node: g.Node}
}

// postVzdump is POST /nodes/{node}/vzdump, in the order of PVE/API2/VZDump.pm.
func (c *Cluster) postVzdump(q *query) (any, *refusal) {
	if r := c.mayVzdump(q); r != nil {
		return nil, r
	}
	var local, skipped []int
	for _, text := range separated(q.text("vmid")) {
		vmid, err := strconv.Atoi(text)
		if err != nil {
			return nil, wrong("vmid", "invalid format - value does not look like a valid VM ID\n")
		}
		// A guest that is nowhere fails later, where it can be seen.
		if g := c.guests[vmid]; g == nil || g.Node == q.node.name {
			local = append(local, vmid)
		} else {
			skipped = append(skipped, vmid)
		}
	}
	if q.text("all") == "1" {
		for _, vmid := range slices.Sorted(maps.Keys(c.guests)) {
			if g := c.guests[vmid]; g.Node == q.node.name && !slices.Contains(separated(q.text("exclude")), strconv.Itoa(vmid)) && c.may(q.user, fmt.Sprintf("/vms/%d", vmid), "VM.Backup") {
				local = append(local, vmid)
			}
		}
	}
	if q.text("stop") == "1" {
		if r := c.must(q.user, "/nodes/"+q.node.name, "Sys.Modify"); r != nil {
			return nil, r
		}
		if q.node.lock != nil {
			c.interrupt(q.node.lock, c.now())
		}
	}
	if len(local) == 0 && q.text("all") != "1" {
		return "OK", nil
	}
	if r := c.must(q.user, "/storage/"+q.text("storage"), "Datastore.AllocateSpace"); q.has("storage") && r != nil {
		return nil, r
	}
	return c.startVzdump(q.node, q.user, q.params(), local, skipped).upid, nil
}

func (c *Cluster) mayVzdump(q *query) *refusal {
	for _, key := range []string{"tmpdir", "dumpdir", "script", "job-id"} {
		if q.has(key) && q.user != "root@pam" {
			return wrong(key, "Only root may set this option.")
		}
	}
	for _, key := range []string{"bwlimit", "ionice", "performance"} {
		if r := c.must(q.user, "/", "Sys.Modify"); q.has(key) && r != nil {
			return r
		}
	}
	if r := c.must(q.user, "/storage/"+q.text("storage"), "Datastore.Allocate"); q.has("prune-backups") && r != nil {
		return r
	}
	for _, key := range []string{"all", "exclude", "pool"} {
		if q.has(key) && q.text(key) != "0" && q.has("vmid") {
			return wrong(key, "option conflicts with option 'vmid'")
		}
	}
	notes := q.text("notes-template")
	if strings.Contains(notes, "\n") {
		return wrong("notes-template", "contains a line feed\n")
	}
	if m := unknownVariable.FindStringSubmatch(notesVariables.Replace(notes)); m != nil {
		return wrong("notes-template", fmt.Sprintf("found unknown: variable '%s'\n", m[1]))
	}
	if !q.has("vmid") && !q.has("all") && !q.has("stop") && !q.has("pool") {
		return wrong("vmid", "property is missing")
	}
	return nil
}

var (
	unknownVariable = regexp.MustCompile(`\{\{([^\s{}]+)\}\}`)
	notesVariables  = strings.NewReplacer("{{cluster}}", "", "{{guestname}}", "", "{{node}}", "", "{{vmid}}", "")
)

// StartVzdump starts a vzdump of guests of a node as user, as a person or another
// program would: to the first storage of type pbs, without notes.
func (c *Cluster) StartVzdump(name, user string, vmids ...int) backup.UPID {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	params := map[string]string{"mode": "snapshot", "remove": "0"}
	for _, s := range c.storages {
		if s.Type == "pbs" {
			params["storage"] = s.Name
		}
	}
	return c.startVzdump(c.node(name), user, params, vmids, nil).upid
}

func (c *Cluster) startVzdump(n *node, user string, params map[string]string, vmids, skipped []int) *task {
	id := ""
	if len(vmids) == 1 {
		id = strconv.Itoa(vmids[0])
	}
	c.checkTwice(n, params["notes-template"], vmids)
	t := c.begin(n, "vzdump", id, user)
	t.dump = &dump{params: params, vmids: slices.Sorted(slices.Values(vmids)), skipped: skipped, storage: params["storage"]}
	t.then(t.started, func(at time.Time) { c.activate(t, at) })
	c.settle()
	return t
}

// activate is what a worker does before it asks for the node's lock.
func (c *Cluster) activate(t *task, at time.Time) {
	s := c.storage(t.dump.storage)
	switch {
	case s == nil:
		missing := fmt.Sprintf("storage '%s' does not exist", t.dump.storage)
		c.end(t, at, fmt.Sprintf("could not activate storage '%s': %s could not get storage information for '%[1]s': %[2]s", t.dump.storage, missing))
		return
	case s.Disabled:
		c.end(t, at, fmt.Sprintf("could not activate storage '%s': storage '%[1]s' is disabled", s.Name))
		return
	case slices.Contains(s.Down, t.node.name):
		c.end(t, at, storageDown(s.Name))
		return
	}
	if t.node.lock == nil {
		c.acquired(t, at, false)
		return
	}
	wait := 180
	if text, ok := t.dump.params["lockwait"]; ok {
		wait, _ = strconv.Atoi(text)
	}
	if wait == 0 {
		t.log("ERROR: can't acquire lock '/var/run/vzdump.lock' (wait = 0)")
		c.end(t, at, "unexpected status") // the worker exits
		return
	}
	t.log("INFO: trying to get global lock - waiting...")
	t.node.queue = append(t.node.queue, t)
	t.then(at.Add(time.Duration(wait)*time.Minute), func(at time.Time) {
		t.log("ERROR: can't acquire lock '/var/run/vzdump.lock' - got timeout")
		c.end(t, at, "unexpected status")
	})
}

func storageDown(name string) string {
	return fmt.Sprintf("could not activate storage '%s': %[1]s: error fetching datastores - 500 Can't connect to 192.0.2.9:8007 (Connection refused)", name)
}

// acquired is what a worker does with the lock.
func (c *Cluster) acquired(t *task, at time.Time, waited bool) {
	t.node.lock, t.steps = t, nil
	if waited {
		t.log("INFO: got global lock")
	}
	t.then(at, func(at time.Time) {
		t.log("INFO: starting new backup job: %s", t.command())
		if len(t.dump.skipped) > 0 {
			t.log("INFO: skip external VMs: %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(t.dump.skipped), " ", ", "), "[]"))
		}
		for _, vmid := range t.dump.vmids {
			// Only here: the call itself asks for nothing on the guests.
			if r := c.must(t.user, fmt.Sprintf("/vms/%d", vmid), "VM.Backup"); r != nil && c.guests[vmid] != nil {
				c.end(t, at, "403 "+r.message)
				return
			}
		}
		c.guestFrom(t, 0, at)
	})
}

// guestFrom goes on with the i-th guest.
func (c *Cluster) guestFrom(t *task, i int, at time.Time) {
	d := t.dump
	if i == len(d.vmids) {
		if d.failed > 0 {
			t.log("INFO: Backup job finished with errors")
			c.end(t, at, "job errors")
			return
		}
		t.log("INFO: Backup job finished successfully")
		c.end(t, at, "OK")
		return
	}
	next := func(at time.Time) { c.guestFrom(t, i+1, at) }
	g := c.guests[d.vmids[i]]
	d.now, d.at = g, at.Truncate(time.Second)
	if g == nil {
		d.now = &guest{Guest: Guest{VMID: d.vmids[i]}}
		c.guestFailed(t, at, fmt.Sprintf("unable to find VM '%d'", d.vmids[i]), next)
		return
	}
	c.saveGuest(t, at, next)
}

// guestFailed ends a guest's part of a job, and leaves nothing locked.
func (c *Cluster) guestFailed(t *task, at time.Time, why string, next func(time.Time)) {
	d := t.dump
	c.abort(d)
	if d.now.Lock == "backup" {
		d.now.Lock = ""
	}
	d.failed++
	t.log("ERROR: Backup of VM %d failed - %s", d.now.VMID, why)
	t.log("INFO: Failed at %s", c.local(at))
	t.then(at, next)
}

func (c *Cluster) abort(d *dump) {
	if d.sending && c.cfg.Abort != nil {
		c.cfg.Abort(d.group(), d.at)
	}
	d.sending = false
}

// interrupt is SIGTERM.
func (c *Cluster) interrupt(t *task, at time.Time) {
	d := t.dump
	if slices.Contains(t.node.queue, t) {
		t.log("ERROR: can't acquire lock '/var/run/vzdump.lock' - interrupted by signal")
		c.end(t, at, "unexpected status")
		return
	}
	t.steps = nil
	if d.now != nil {
		if d.now.Type == backup.VM {
			t.log("ERROR: interrupted by signal")
			t.log("INFO: aborting backup job")
			t.log("INFO: resuming VM again")
		}
		c.guestFailed(t, at, "interrupted by signal", nil)
		t.log("ERROR: Backup job failed - interrupted by signal")
	}
	c.end(t, at, "interrupted by signal")
}

// kill is SIGKILL, or the node's power: no last line, and the guest stays locked.
func (c *Cluster) kill(t *task, at time.Time) {
	c.abort(t.dump)
	c.end(t, at, "unexpected status")
}

func (c *Cluster) local(at time.Time) string {
	return at.In(c.cfg.Zone).Format("2006-01-02 15:04:05")
}
