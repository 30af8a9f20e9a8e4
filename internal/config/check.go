package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// check judges what the keys say together. Each part leaves out values that
// have a problem already.
func (d *decoder) check(c *Config) {
	d.replicas(c) // first: what a target is not makes no row wrong
	d.rows(c)
	d.received(c)
	d.proxmox(c)
	d.offsite(c)
	d.night(c)
	d.temporal(c)
}

func (d *decoder) rows(c *Config) {
	if len(c.Snapshots) == 0 && d.ok("snapshots") {
		d.fail("snapshots", fault{message: "snapshots has no row",
			fix: "Write at least one row, such as - { dataset: nvme/vm, frequency: hourly, keep: { hourly: 12 } }."})
	}
	first := map[string]string{}
	for i, r := range c.Snapshots {
		at := fmt.Sprintf("snapshots[%d]", i)
		if d.ok(at + ".dataset") {
			if other, twice := first[r.Dataset]; twice {
				d.fail(at+".dataset", fault{message: fmt.Sprintf("%s has a row already, on line %d", r.Dataset, d.where(other).line),
					fix: "Keep one of the two rows."})
			} else {
				first[r.Dataset] = at + ".dataset"
			}
			d.excludes(r, at)
		}
		if d.ok(at+".frequency") && !d.bad[at+".keep"] {
			d.keep(c, r, at)
		}
	}
}

func (d *decoder) excludes(r Row, at string) {
	for j, e := range r.Exclude {
		path := fmt.Sprintf("%s.exclude[%d]", at, j)
		switch {
		case !d.ok(path):
		case e == r.Dataset:
			d.fail(path, fault{message: fmt.Sprintf("exclude leaves out the row's own dataset %s", e),
				fix: "Write frequency: disabled for it instead."})
		case !backup.Under(e, r.Dataset):
			d.fail(path, fault{message: fmt.Sprintf("exclude %s is not below the row's dataset %s", e, r.Dataset),
				fix: "Write the whole name of a dataset below the row's, or move the exclude to the row that covers it."})
		case slices.Contains(r.Exclude[:j], e):
			d.fail(path, fault{message: fmt.Sprintf("%s is excluded twice", e), fix: "Delete one of them."})
		}
	}
}

// keep demands retention where snapshots are, and none where there are none.
func (d *decoder) keep(c *Config, r Row, at string) {
	_, written := d.spots[at+".keep"]
	on := d.targetAbove(c, r.Dataset)
	switch {
	case on != "" && r.Frequency.Kind != backup.Disabled:
		d.fail(at+".frequency", fault{
			message: fmt.Sprintf("%s is a replica (target %s), and a replica gets no snapshots of its own", r.Dataset, on),
			fix:     "Write frequency: disabled with a keep for the snapshots it receives, or delete the row: a snapshot of our own on a replica breaks later receives."})
	case on != "" && !written:
		d.fail(at+".frequency", fault{
			message: fmt.Sprintf("%s is a replica (target %s), and this row would keep what it receives for ever", r.Dataset, on),
			fix:     "Add a keep for the snapshots it receives, or delete the row: the one above then decides."})
	case r.Frequency.Kind == backup.Disabled && written && on == "":
		d.fail(at+".keep", fault{message: "a disabled row has nothing to keep",
			fix: "Delete keep, or write how often: hourly, or daily at HH:MM."})
	case r.Frequency.Kind != backup.Disabled && !written:
		d.fail(at+".frequency", fault{message: fmt.Sprintf("%s snapshots without a keep", r.Frequency.Kind),
			fix: "Add a keep, such as keep: { daily: 7 }: nothing else says when they may go."})
	case written && r.Keep == (backup.Keep{}) && !d.below(at+".keep."):
		d.fail(at+".keep", fault{message: "keep keeps nothing",
			fix: "Name at least one of hourly, daily, weekly, monthly, yearly with how many."})
	}
}

// below says whether anything under the path prefix has a problem.
func (d *decoder) below(prefix string) bool {
	for path := range d.bad {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// targetAbove is the replica target on or below which dataset is, or "".
func (d *decoder) targetAbove(c *Config, dataset string) string {
	for i, r := range c.Replicas {
		if d.ok(fmt.Sprintf("replicas[%d].target", i)) && backup.Under(dataset, r.Target) {
			return r.Target
		}
	}
	return ""
}

func (d *decoder) proxmox(c *Config) {
	if c.Proxmox == nil || d.bad["proxmox"] {
		return
	}
	if d.ok("proxmox.keep") && c.Proxmox.Keep == (backup.Keep{}) && !d.below("proxmox.keep.") {
		d.fail("proxmox.keep", fault{message: "keep keeps nothing", // to PBS, no number at all means everything
			fix: "Name at least one of hourly, daily, weekly, monthly, yearly with how many."})
	}
	if d.ok("proxmox.pve.urls") && len(c.Proxmox.PVE.URLs) == 0 {
		d.fail("proxmox.pve.urls", fault{message: "urls is empty", fix: "Write the API of at least one node, such as https://127.0.0.1:8006."})
	}
	for i, id := range c.Proxmox.Exclude {
		if path := fmt.Sprintf("proxmox.exclude[%d]", i); d.ok(path) && slices.Contains(c.Proxmox.Exclude[:i], id) {
			d.fail(path, fault{message: fmt.Sprintf("guest %d is excluded twice", id), fix: "Delete one of them."})
		}
	}
}

func (d *decoder) offsite(c *Config) {
	for i, o := range c.Offsite {
		at := fmt.Sprintf("offsite[%d]", i)
		for j, other := range c.Offsite[:i] {
			was := fmt.Sprintf("offsite[%d]", j)
			if d.ok(at+".name", was+".name") && o.Name == other.Name {
				d.fail(at+".name", fault{message: fmt.Sprintf("%s is the name of the target on line %d already", o.Name, d.where(was+".name").line),
					fix: "Give each target a name of its own."})
			}
			if d.ok(at+".bucket", was+".bucket") && o.Bucket == other.Bucket && o.Endpoint == other.Endpoint && overlapping(o.Prefix, other.Prefix) {
				d.fail(at+".bucket", fault{message: fmt.Sprintf("two targets would write to the same place in bucket %s (line %d)", o.Bucket, d.where(was+".bucket").line),
					fix: "Give each a bucket, or a prefix that is not inside the other's."})
			}
		}
	}
}

// overlapping says whether one key prefix is inside the other.
func overlapping(a, b string) bool {
	a, b = strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/")
	return a == "" || b == "" || backup.Under(a, b) || backup.Under(b, a)
}

func (d *decoder) temporal(c *Config) {
	t := c.Temporal
	if ip, err := netip.ParseAddr(t.Listen); err == nil && !ip.IsLoopback() && !t.AllowRemote && !d.bad["temporal.allow_remote"] {
		d.fail("temporal.listen", fault{message: fmt.Sprintf("%s can be reached from the network, and nothing there asks for a password", t.Listen),
			mean: "127.0.0.1",
			fix:  "Listen on 127.0.0.1 and use an SSH tunnel, or add allow_remote: true if a firewall guards both ports."})
	}
	if t.Address == "" && t.UIPort >= t.Port && t.UIPort <= t.Port+3 && !d.bad["temporal.port"] && !d.bad["temporal.ui_port"] {
		path := "temporal.ui_port"
		if !d.ok(path) {
			path = "temporal.port"
		}
		d.fail(path, fault{message: fmt.Sprintf("ui_port %d is one of the server's own ports, %d to %d", t.UIPort, t.Port, t.Port+3),
			fix: "Write a port outside of them: the embedded server uses port and the three above it."})
	}
	if t.Address == "" && t.Port > 65532 && d.ok("temporal.port") {
		d.fail("temporal.port", fault{message: fmt.Sprintf("port %d leaves no room for the three ports above it", t.Port),
			fix: "Write 65532 or lower."})
	}
}
