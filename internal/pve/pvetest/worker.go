package pvetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// Outcome is what becomes of a guest's next vzdump, other than success.
type Outcome struct {
	Hang bool     // it stops half-way and says nothing any more
	Kill bool     // it is killed half-way, and leaves its guest locked
	Fail string   // it fails half-way with this text
	Warn []string // it succeeds with warnings
}

// Next scripts a guest's next vzdump.
func (c *Cluster) Next(vmid int, o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next[vmid] = o
}

// saveGuest backs one guest up, with the lines of PVE/VZDump.pm and its plugins.
func (c *Cluster) saveGuest(t *task, at time.Time, next func(time.Time)) {
	d, g := t.dump, t.dump.now
	fail := func(at time.Time, why string) { c.guestFailed(t, at, why, next) }
	s := c.storage(d.storage)
	if limit := keepLimit(s.Prune); d.params["remove"] == "0" && limit > 0 && c.count(d.group()) >= limit {
		fail(at, fmt.Sprintf("There is a max backup limit of %d enforced by the target storage or the vzdump parameters."+
			" Either increase the limit or delete old backups.", limit))
		return
	}
	t.log("INFO: Starting Backup of VM %d (%s)", g.VMID, g.Type)
	t.log("INFO: Backup started at %s", c.local(at))
	status, kind := "running", "VM"
	if g.Stopped || g.Template {
		status = "stopped"
	}
	if g.Type == backup.Container {
		kind = "CT"
	}
	t.log("INFO: status = %s", status)
	if g.Lock != "" {
		fail(at, fmt.Sprintf("%s is locked (%s)", kind, g.Lock))
		return
	}
	if !c.quorate { // /etc/pve is read-only
		folder := map[string]string{"VM": "qemu-server", "CT": "lxc"}[kind]
		fail(at, fmt.Sprintf("unable to open file '/etc/pve/nodes/%s/%s/%d.conf.tmp.%d' - Permission denied", g.Node, folder, g.VMID, t.pid))
		return
	}
	g.Lock = "backup"
	if kind == "VM" {
		c.prepareVM(t, g)
	} else {
		c.prepareCT(t, g)
	}
	mode := d.params["mode"]
	if mode == "" {
		mode = "snapshot"
	}
	if status == "stopped" {
		mode = "stop"
	}
	t.log("INFO: backup mode: %s", mode)
	t.log("INFO: ionice priority: 7")
	if kind == "CT" && mode == "snapshot" {
		t.log("INFO: create storage snapshot 'vzdump'")
	}
	t.log("INFO: creating Proxmox Backup Server archive '%s'", c.backupOf(t).ID())
	if c.cfg.Begin != nil {
		err := c.cfg.Begin(d.group(), d.at)
		if errors.Is(err, backup.ErrUnreachable) && d.vmids[0] == g.VMID {
			c.unreachable(t, at)
			return
		}
		if err != nil {
			fail(at, c.refused(t, err))
			return
		}
	}
	d.sending = true
	if kind == "VM" {
		c.sendVM(t, at, fail, next)
	} else {
		c.sendCT(t, at, fail, next)
	}
}

// unreachable takes back what was logged: had the storage been asked for first, as
// Proxmox VE does, the job would have ended there.
func (c *Cluster) unreachable(t *task, at time.Time) {
	t.dump.now.Lock, t.dump.now = "", nil
	began := slices.IndexFunc(t.lines, func(l string) bool { return strings.HasPrefix(l, "INFO: starting new backup job") })
	t.lines = t.lines[:began]
	c.end(t, at, storageDown(t.dump.storage))
}

// refused is how a guest's backup fails when the backup server says no.
func (c *Cluster) refused(t *task, err error) string {
	if t.dump.now.Type == backup.Container {
		t.log("INFO: Error: %v", err)
		return "command '/usr/bin/proxmox-backup-client backup --crypt-mode=none root.pxar:/mnt/vzsnap0' failed: exit code 255"
	}
	why := fmt.Sprintf("VM %d qmp command 'backup' failed - backup connect failed: command error: %v", t.dump.now.VMID, err)
	t.log("ERROR: %s", why)
	t.log("INFO: aborting backup job")
	return why
}

// drive adds the steps of a transfer of n bytes: mark logs the progress at each,
// and half-way the scripted outcome happens. every is the vendor's pace of lines.
func (c *Cluster) drive(t *task, at time.Time, n int64, every time.Duration, fail func(time.Time, string),
	mark func(done int64, took time.Duration), done func(time.Time, Outcome, time.Duration)) {
	vmid := t.dump.now.VMID
	o := c.next[vmid]
	delete(c.next, vmid)
	rate := float64(c.cfg.Rate)
	took := time.Duration(float64(n) / rate * float64(time.Second)).Round(time.Second)
	half := took / 2
	for at, gone := at, every; gone < took && (!o.bad() || gone < half); gone += every {
		t.then(at.Add(gone), func(time.Time) { mark(int64(gone.Seconds()*rate), gone) })
	}
	switch {
	case o.Hang:
	case o.Kill:
		t.then(at.Add(half), func(at time.Time) { c.kill(t, at) })
	case o.Fail != "":
		t.then(at.Add(half), func(at time.Time) { fail(at, o.Fail) })
	default:
		t.then(at.Add(took+time.Second), func(at time.Time) { mark(n, took); done(at, o, took) })
	}
}

func (o Outcome) bad() bool { return o.Hang || o.Kill || o.Fail != "" }

// finish is what both kinds of guest end with.
func (c *Cluster) finish(t *task, at time.Time, o Outcome, fail func(time.Time, string), next func(time.Time)) {
	d, g := t.dump, t.dump.now
	b := c.backupOf(t)
	if notes := d.params["notes-template"]; notes != "" {
		t.log("INFO: adding notes to backup")
		b.Notes = strings.NewReplacer("{{guestname}}", g.title(), "{{vmid}}", fmt.Sprint(g.VMID), "{{node}}", g.Node, "{{cluster}}", c.name()).Replace(notes)
	}
	b.Protected = d.params["protected"] == "1"
	if c.cfg.Save != nil {
		if err := c.cfg.Save(b); err != nil {
			fail(at, fmt.Sprintf("backup finish failed: command error: %v", err))
			return
		}
	}
	d.sending = false
	c.saved = append(c.saved, b)
	for _, w := range o.Warn {
		t.log("WARN: %s", w)
		t.warnings++
	}
	if s := c.storage(d.storage); d.params["remove"] != "0" && keepLimit(s.Prune) > 0 {
		t.log("INFO: prune older backups with retention: %s", s.Prune)
		t.log("INFO: pruned 0 backup(s)")
	}
	g.Lock, g.saved = "", true
	if g.Type == backup.Container {
		t.log("INFO: cleanup temporary 'vzdump' snapshot")
	}
	took := at.Truncate(time.Second).Sub(d.at)
	t.log("INFO: Finished Backup of VM %d (%02d:%02d:%02d)", g.VMID, int(took.Hours()), int(took.Minutes())%60, int(took.Seconds())%60)
	t.log("INFO: Backup finished at %s", c.local(at))
	t.then(at, next)
}

func (c *Cluster) backupOf(t *task) backup.GuestBackup {
	return backup.GuestBackup{Group: t.dump.group(), Time: t.dump.at, Size: t.dump.now.Size, Owner: c.cfg.Owner, Finished: true}
}

func (c *Cluster) count(group string) (n int) {
	for _, b := range c.saved {
		if b.Group == group {
			n++
		}
	}
	return n
}

// title is the guest's name in notes.
func (g *guest) title() string {
	switch {
	case g.Name != "":
		return g.Name
	case g.Type == backup.Container:
		return fmt.Sprintf("CT%d", g.VMID)
	default:
		return fmt.Sprintf("VM %d", g.VMID)
	}
}

// name is the cluster's; a single node has none.
func (c *Cluster) name() string {
	if len(c.nodes) == 1 {
		return "standalone node"
	}
	return "triplicate"
}

// keepLimit is how many backups a prune-backups setting keeps; 0: all.
func keepLimit(prune string) (limit int) {
	for part := range strings.SplitSeq(prune, ",") {
		name, number, _ := strings.Cut(part, "=")
		n := 0
		if name != "keep-all" {
			_, _ = fmt.Sscan(number, &n) // what is no number keeps nothing
		}
		limit += n
	}
	return limit
}

// command is the task's command line, as PVE/VZDump/Common.pm writes it, but with
// options in a fixed order.
func (t *task) command() string {
	var b strings.Builder
	b.WriteString("vzdump")
	for _, vmid := range t.dump.vmids {
		fmt.Fprintf(&b, " %d", vmid)
	}
	for _, key := range slices.Sorted(maps.Keys(t.dump.params)) {
		if value := t.dump.params[key]; key != "vmid" && value != "" {
			fmt.Fprintf(&b, " --%s %s", key, quoted(value))
		}
	}
	return b.String()
}

// quoted is a value as String::ShellQuote has it.
func quoted(value string) string {
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_!%+,./:=@-") == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
