//go:build lab

package e2e

import (
	"strings"
	"testing"
)

// TestTraps provokes the traps of ZFS by name, with the daemon at work.
func TestTraps(t *testing.T) {
	smith(t)
	night(t)

	t.Run("1 replicas are never snapshotted by us", func(t *testing.T) {
		night(t)
		for source, target := range replicas {
			from := points(t, source)
			for name, guid := range points(t, target) {
				if !strings.HasPrefix(name, target+"@") {
					continue
				}
				found := false
				for _, g := range from {
					found = found || g == guid
				}
				if !found {
					t.Errorf("%s has guid %s, which is neither a snapshot nor a bookmark of %s", name, guid, source)
				}
			}
		}
	})
	t.Run("2 hourly prunes the base and the bookmark carries the chain", func(t *testing.T) {
		base := newest(t, "hdd/backups-data/personal")
		sh(t, "zfs destroy nvme/personal@"+base+" && echo more >/nvme/personal/3.txt && rm -f /run/e2e/commands && triplicate run replicate personal --wait; [ $? -le 3 ]")
		sh(t, "triplicate run nightly --wait")
		if !strings.Contains(sh(t, "cat /run/e2e/commands"), "-i nvme/personal#triplicate-personal-") {
			t.Errorf("no increment from the bookmark:\n%s", sh(t, "grep ' send ' /run/e2e/commands"))
		}
		same(t)
	})
	t.Run("3 a mark lost between receive and set comes back", func(t *testing.T) {
		snap := "hdd/backups-data/personal@" + newest(t, "hdd/backups-data/personal")
		sh(t, "zfs inherit triplicate:class "+snap+"; triplicate run replicate personal --wait")
		if v, source := property(t, snap, "triplicate:class"); v != "periodic" || source != "local" {
			t.Errorf("triplicate:class = %q from %q, want periodic, local", v, source)
		}
	})
	t.Run("3 a foreign snapshot under our name stays", func(t *testing.T) {
		foreign := "nvme/vm@triplicate-20200101T000000Z"
		sh(t, "zfs snapshot "+foreign+"; triplicate run hourly --wait; triplicate run hourly --wait; true")
		sh(t, "zfs list "+foreign+" && zfs destroy "+foreign)
	})
	t.Run("4 an unmounted replica is read by mounting its snapshot", func(t *testing.T) {
		snap := "hdd/backups-data/personal@" + newest(t, "hdd/backups-data/personal")
		if v, _ := property(t, "hdd/backups-data/personal", "mounted"); v != "no" {
			t.Errorf("mounted = %s, want no", v)
		}
		if !strings.Contains(content(t, snap), "letter") && !strings.Contains(content(t, snap), ".txt") {
			t.Errorf("%s shows no files", snap)
		}
	})
	t.Run("4 a mounted snapshot does not keep the others from going", func(t *testing.T) {
		old := "hdd/data@" + newest(t, "hdd/data")
		sh(t, "mkdir -p /run/e2e/mnt && mount -t zfs -o ro "+old+" /run/e2e/mnt && triplicate run nightly --wait; [ $? -le 3 ] && triplicate run nightly --wait; [ $? -le 3 ]")
		sh(t, "zfs list "+old+"; umount /run/e2e/mnt")
	})
	t.Run("5 receive properties by type", func(t *testing.T) {
		for name, want := range map[string]map[string]string{
			"hdd/backups-data/personal": {"readonly": "on", "canmount": "noauto", "setuid": "off", "exec": "off", "devices": "off"},
			"hdd/backups-data/data/vol": {"readonly": "on", "volmode": "none", "snapdev": "hidden", "refreservation": "0"},
		} {
			for prop, value := range want {
				if got, _ := property(t, name, prop); got != value && !(value == "0" && got == "none") {
					t.Errorf("%s: %s = %s, want %s", name, prop, got, value)
				}
			}
		}
	})
	t.Run("6 a name that is taken on the replica is not success", func(t *testing.T) {
		// Somebody makes a snapshot of their own on the replica, and then writes.
		sh(t, `zfs set readonly=off hdd/backups-data/personal; mkdir -p /run/e2e/mnt
			mount -t zfs -o zfsutil hdd/backups-data/personal /run/e2e/mnt && echo x >/run/e2e/mnt/x; umount /run/e2e/mnt
			zfs snapshot hdd/backups-data/personal@mine; echo again >/nvme/personal/4.txt`)
		out, err := try(t, "triplicate run nightly --wait")
		if err == nil || !strings.Contains(out, "personal") {
			t.Errorf("a diverged replica passed as success:\n%s", out)
		}
		sh(t, "zfs list hdd/backups-data/personal@mine") // never rolled back, never forced
		if !strings.Contains(out, "replicate") {
			t.Errorf("the report does not name the stage:\n%s", out)
		}
	})
}
