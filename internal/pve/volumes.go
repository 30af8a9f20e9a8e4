package pve

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// slots are the keys of a guest's configuration that hold volumes. An unused disk
// is one too: it takes space on the pool, and vzdump leaves it out.
var slots = map[backup.GuestType]*regexp.Regexp{
	backup.VM:        regexp.MustCompile(`^(?:(?:scsi|virtio|sata|ide|unused)[0-9]{1,3}|efidisk0|tpmstate0)$`),
	backup.Container: regexp.MustCompile(`^(?:rootfs|(?:mp|unused)[0-9]{1,3})$`),
}

// datasetName is what a zfspool storage's pool may be, and a volume in it.
var datasetName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.: -]*(?:/[A-Za-z0-9_.:-][A-Za-z0-9_.: -]*)*$`)

// Volumes lists a guest's disks and mount points as they are now, not as they will
// be after pending changes; CD drives (cloud-init's too) are left out, as vzdump
// does. It needs VM.Audit on the guest and Datastore.Audit on its storages: a
// storage that cannot be seen leaves Dataset empty.
func (c *Client) Volumes(ctx context.Context, g backup.Guest) ([]backup.GuestVolume, error) {
	if err := checkGuest(g); err != nil {
		return nil, err
	}
	b, err := c.begin()
	if err != nil {
		return nil, err
	}
	rows, err := b.storages(ctx)
	if err != nil {
		return nil, err
	}
	pools := map[string]string{}
	for _, r := range rows {
		if r.Type == "zfspool" && datasetName.MatchString(string(r.Pool)) {
			pools[string(r.Storage)] = string(r.Pool)
		}
	}
	var pending []struct{ Key, Value word }
	if _, err := b.get(ctx, &pending, nil, "nodes", g.Node, string(g.Type), fmt.Sprint(g.VMID), "pending"); err != nil {
		return nil, err
	}
	config := map[string]string{}
	for _, p := range pending {
		config[string(p.Key)] = string(p.Value)
	}
	var volumes []backup.GuestVolume
	for key, value := range config {
		if slots[g.Type].MatchString(key) && value != "" {
			if v, ok := volume(g, key, value, config, pools); ok {
				volumes = append(volumes, v)
			}
		}
	}
	slices.SortFunc(volumes, func(a, b backup.GuestVolume) int { return strings.Compare(a.Slot, b.Slot) })
	return volumes, nil
}

// volume reads a slot's value, such as nvme:vm-101-disk-0,size=32G,backup=0. It is
// false for CD drives.
func volume(g backup.Guest, slot, value string, config, pools map[string]string) (backup.GuestVolume, bool) {
	v := backup.GuestVolume{VMID: g.VMID, Slot: slot}
	file, options := "", map[string]string{}
	for part := range strings.SplitSeq(value, ",") {
		key, val, ok := strings.Cut(part, "=")
		switch {
		case !ok:
			file = part
		case key == "file" || key == "volume":
			file = val
		default:
			options[key] = val
		}
	}
	if options["media"] == "cdrom" || file == "" || file == "none" || file == "cdrom" {
		return v, false
	}
	v.Saved = saved(g.Type, slot, options["backup"], config)
	if strings.HasPrefix(file, "/") {
		if g.Type == backup.Container { // a bind mount or a device: vzdump never saves it
			v.HostPath, v.Saved = file, false
		}
		return v, true
	}
	storage, name, _ := strings.Cut(file, ":")
	// A linked clone's volume is base-100-disk-0/vm-101-disk-0, beside its base.
	name = name[strings.LastIndex(name, "/")+1:]
	if pool, ok := pools[storage]; ok && name != "" && datasetName.MatchString(pool+"/"+name) {
		v.Dataset = pool + "/" + name
	}
	return v, true
}

// saved says whether vzdump saves a volume (get_backup_volumes in PVE/QemuConfig.pm
// and PVE/LXC/Config.pm): disks unless backup=0, mount points only with backup=1.
func saved(kind backup.GuestType, slot, option string, config map[string]string) bool {
	on := slices.Contains([]string{"1", "on", "yes", "true"}, strings.ToLower(option))
	switch {
	case strings.HasPrefix(slot, "unused"):
		return false
	case slot == "rootfs":
		return true
	case kind == backup.Container:
		return on
	case slot == "efidisk0" && config["bios"] != "ovmf":
		return false
	default:
		return option == "" || on
	}
}
