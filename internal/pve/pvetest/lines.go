package pvetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// prepareVM logs what a VM's backup is of (PVE/VZDump/QemuServer.pm).
func (c *Cluster) prepareVM(t *task, g *guest) {
	if g.Name != "" {
		t.log("INFO: VM Name: %s", g.Name)
	}
	for _, slot := range slices.Sorted(maps.Keys(g.Config)) {
		file, options, _ := strings.Cut(g.Config[slot], ",")
		if !strings.Contains(file, ":") || strings.Contains(options, "media=cdrom") || strings.HasPrefix(slot, "unused") || strings.HasPrefix(slot, "net") {
			continue
		}
		if strings.Contains(options+",", "backup=0,") {
			t.log("INFO: exclude disk '%s' '%s' (backup=no)", slot, file)
			continue
		}
		_, size, _ := strings.Cut(options, "size=")
		size, _, _ = strings.Cut(size, ",")
		t.log("INFO: include disk '%s' '%s' %s", slot, file, size)
	}
}

// prepareCT logs what a container's backup is of (PVE/VZDump/LXC.pm).
func (c *Cluster) prepareCT(t *task, g *guest) {
	if g.Name != "" {
		t.log("INFO: CT Name: %s", g.Name)
	}
	for _, slot := range slices.Backward(slices.Sorted(maps.Keys(g.Config))) {
		value := g.Config[slot]
		_, where, _ := strings.Cut(value, "mp=")
		where, _, _ = strings.Cut(where, ",")
		switch {
		case slot == "rootfs":
			t.log("INFO: including mount point rootfs ('/') in backup")
		case !strings.HasPrefix(slot, "mp"):
		case strings.HasPrefix(value, "/"):
			t.log("INFO: excluding bind mount point %s ('%s') from backup (not a volume)", slot, where)
		case strings.Contains(value+",", "backup=1,"):
			t.log("INFO: including mount point %s ('%s') in backup", slot, where)
		default:
			t.log("INFO: excluding volume mount point %s ('%s') from backup (disabled)", slot, where)
		}
	}
}

// sendVM is the transfer of a VM: all of it at first, then what its dirty bitmap
// has.
func (c *Cluster) sendVM(t *task, at time.Time, fail func(time.Time, string), next func(time.Time)) {
	g := t.dump.now
	n, status := g.Size, "created new"
	if g.saved {
		n = min(g.Dirty, g.Size)
		status = fmt.Sprintf("OK (%s of %s dirty)", bytesText(n, 1), bytesText(g.Size, 1))
	}
	c.serial++
	t.log("INFO: starting backup via QMP command")
	t.log("INFO: started backup task '%08x-8d7c-4a53-9c55-0d6c6b6f2a11'", c.serial)
	t.log("INFO: resuming VM again")
	t.log("INFO: scsi0: dirty-bitmap status: %s", status)
	if n < g.Size {
		t.log("INFO: using fast incremental mode (dirty-bitmap), %s dirty of %s total", bytesText(n, 1), bytesText(g.Size, 1))
	}
	last, before := -1, int64(0)
	mark := func(done int64, took time.Duration) {
		percent := 100
		if n > 0 {
			percent = int(done * 100 / n)
		}
		if percent != last {
			speed := bytesText((done-before)/3, 1) + "/s"
			t.log("INFO: %3d%% (%s of %s) in %s, read: %s, write: %s", percent, bytesText(done, 1), bytesText(n, 1), durationText(took), speed, speed)
		}
		last, before = percent, done
	}
	c.drive(t, at, n, 3*time.Second, func(at time.Time, why string) {
		t.log("ERROR: %s", why)
		t.log("INFO: aborting backup job")
		t.log("INFO: resuming VM again")
		fail(at, why)
	}, mark, func(at time.Time, o Outcome, took time.Duration) {
		t.log("INFO: Waiting for server to finish backup validation...")
		if reused := g.Size - n; reused > 0 {
			t.log("INFO: backup was done incrementally, reused %s (%d%%)", bytesText(reused, 2), reused*100/g.Size)
		}
		if n > 0 {
			seconds := max(int64(took.Seconds()), 1)
			t.log("INFO: transferred %s in %d seconds (%s/s)", bytesText(n, 2), seconds, bytesText(n/seconds, 1))
		}
		c.finish(t, at, o, fail, next)
	})
}

// sendCT is the transfer of a container: all files are read, what is new is sent.
func (c *Cluster) sendCT(t *task, at time.Time, fail func(time.Time, string), next func(time.Time)) {
	g := t.dump.now
	n := g.Size
	if g.saved {
		n = min(g.Dirty, g.Size)
	}
	t.log("INFO: Starting backup: %s", c.backupOf(t).ID())
	t.log("INFO: Client name: %s", g.Node)
	t.log("INFO: Starting backup protocol: %s", at.In(c.cfg.Zone).Format(time.ANSIC))
	if g.saved {
		t.log("INFO: Downloading previous manifest (%s)", at.In(c.cfg.Zone).AddDate(0, 0, -1).Format(time.ANSIC))
	} else {
		t.log("INFO: No previous manifest available.")
	}
	t.log("INFO: Upload directory '/mnt/vzsnap0' to '%s@192.0.2.9:8007:%s' as root.pxar.didx", c.cfg.Owner, c.storage(t.dump.storage).Datastore)
	mark := func(done int64, took time.Duration) {
		t.log("INFO: processed %s in %s, uploaded %s", bytesText(done, 3), durationText(took), bytesText(int64(float64(done)*float64(n)/float64(g.Size)), 3))
	}
	c.drive(t, at, g.Size, time.Minute, fail, mark, func(at time.Time, o Outcome, took time.Duration) {
		t.lines = t.lines[:len(t.lines)-1] // the client's last word is the next line
		average := int64(float64(n) / max(took.Seconds(), 1))
		t.log("INFO: root.pxar: had to backup %s of %s (compressed %s) in %.2f s (average %s/s)",
			bytesText(n, 3), bytesText(g.Size, 3), bytesText(n/3, 3), took.Seconds(), bytesText(average, 3))
		if reused := g.Size - n; reused > 0 {
			t.log("INFO: root.pxar: backup was done incrementally, reused %s (%.1f%%)", bytesText(reused, 3), float64(reused)*100/float64(g.Size))
		}
		t.log("INFO: Uploaded backup catalog (9.827 MiB)")
		t.log("INFO: Duration: %.2fs", took.Seconds())
		t.log("INFO: End Time: %s", at.In(c.cfg.Zone).Format(time.ANSIC))
		c.finish(t, at, o, fail, next)
	})
}

// bytesText is a size as PVE/Format.pm renders it.
func bytesText(n int64, digits int) string {
	unit, value := 0, float64(n)
	if n > 1023 {
		unit = int(math.Log(value) / math.Log(1024))
		value /= math.Pow(1024, float64(unit))
	}
	return fmt.Sprintf("%.*f %s", digits, value, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit])
}

// durationText is a duration as PVE/Format.pm renders it.
func durationText(d time.Duration) string {
	rest, parts := int(d.Seconds()), []string{}
	for _, unit := range []struct {
		name   string
		length int
	}{{"w", 7 * 24 * 3600}, {"d", 24 * 3600}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		if n := rest / unit.length; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, unit.name))
			rest -= n * unit.length
		}
	}
	if len(parts) == 0 {
		return "0s"
	}
	return strings.Join(parts, " ")
}
