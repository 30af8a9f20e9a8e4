package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// checkContainer: the container of Proxmox Backup Server is not in its own backup,
// so what it is made of (datastores, users, tokens: /etc/proxmox-backup) has to be
// somewhere else.
func (a *Checks) checkContainer(ctx context.Context, w World, seen guestsSeen, f *findings) {
	id := a.Pools.Policy.Proxmox.PBSGuest
	if id == 0 {
		return
	}
	i := slices.IndexFunc(seen.guests, func(g backup.Guest) bool { return g.VMID == id })
	if i < 0 {
		f.warn(FindContainer, "correct proxmox.pbs.vmid, or delete it", "no guest %d is seen in the cluster", id)
		return
	}
	g := seen.guests[i]
	root := ""
	for _, v := range seen.volumes[id] {
		if v.Slot == "rootfs" || root == "" && v.Dataset != "" {
			root = v.Dataset
		}
	}
	if root != "" {
		for _, target := range a.Pools.replicasOf(root) {
			if _, ours := backup.Newest(a.Pools.Policy.Prefix, w.Snapshots[target]); ours {
				f.ok(FindContainer, "Proxmox Backup Server's own guest %s is left out of its backup and copied to %s", g, target)
				return
			}
		}
		if target := a.offsiteAt(ctx, root); target != "" {
			f.ok(FindContainer, "Proxmox Backup Server's own guest %s is left out of its backup and copied to %s", g, target)
			return
		}
	}
	todo := "copy /etc/proxmox-backup to a dataset that is replicated"
	if root != "" {
		todo = "add a replica of " + root + ", or " + todo
	}
	f.warn(FindContainer, todo, "Proxmox Backup Server's own guest %s is left out of its backup, and its configuration is not backed up elsewhere", g)
}

// offsiteAt is an offsite target that has a point of a dataset; that it will have one
// some night is not enough, nor that it cannot be seen.
func (a *Checks) offsiteAt(ctx context.Context, dataset string) string {
	for _, o := range a.Pools.Policy.Offsite {
		if a.Offsite == nil || o.Pool != backup.PoolOf(dataset) {
			continue
		}
		vault, err := a.Offsite.Vault(o.Name)
		if err != nil {
			continue
		}
		points, err := vault.Points(ctx)
		if err == nil && slices.ContainsFunc(points, func(p backup.OffsitePoint) bool { return p.Dataset == dataset }) {
			return o.Name
		}
	}
	return ""
}

// checkUnsaved maps guests' volumes to datasets. That Proxmox Backup Server covers
// what ZFS keeps for hours only is a claim: vzdump saves volumes, not a host's
// folders that are mounted into a guest.
func (a *Checks) checkUnsaved(w World, seen guestsSeen, f *findings) {
	by := map[string]backup.Copy{}
	for _, g := range seen.guests {
		for _, v := range seen.volumes[g.VMID] {
			if v.Dataset == "" {
				continue
			}
			by[v.Dataset] = backup.Copy{State: backup.CopyFresh}
			if !v.Saved && !strings.HasPrefix(v.Slot, "unused") {
				f.warn(FindUnsaved, "set backup=1 on it, or give its dataset a row that keeps days, weeks and months",
					"%s of guest %s (%s) is left out of the guest's backup", v.Slot, g, v.Dataset)
			}
		}
	}
	var order []*backup.Row
	rows := map[*backup.Row][]string{}
	for _, c := range w.cover.Datasets {
		if a.claims(c, by) {
			if rows[c.Row] == nil {
				order = append(order, c.Row)
			}
			rows[c.Row] = append(rows[c.Row], c.Dataset.Name)
		}
	}
	for _, row := range order {
		names := rows[row]
		what := names[0]
		if n := len(names) - 1; n > 0 {
			what += fmt.Sprintf(" and %d below it", n)
		}
		f.warn(FindUnsaved, "give the row daily, weekly and monthly, or move the data onto a guest's volume",
			"%s: kept hourly only, and no guest's volume%s, so Proxmox Backup Server has none of it; %s",
			what, mounted(seen, names), a.Pools.reach(w, names))
	}
	if len(order) == 0 {
		f.ok(FindUnsaved, "every dataset that is kept hourly only is a guest's volume, which vzdump saves")
	}
}

// claims says whether a dataset's row relies on Proxmox Backup Server for more than
// hours, although no guest has a volume there, by the datasets of guests. A dataset
// that only holds guests' volumes relies on nothing, nor does one with a replica
// that keeps as long.
func (a *Copies) claims(c backup.Covered, guests map[string]backup.Copy) bool {
	p := a.Pools.Policy
	if a.Guests == nil || p.Proxmox == nil || !c.Snapshotted() || c.Row.Keep.Hourly == 0 || longest(c.Row.Keep) > 0 {
		return false
	}
	for dataset := range guests {
		if backup.Under(dataset, c.Dataset.Name) {
			return false
		}
	}
	for _, target := range a.Pools.replicasOf(c.Dataset.Name) {
		received := backup.Cover(p, []backup.Dataset{{Name: target}}).Datasets[0]
		if longest(received.Keep()) >= longest(p.Proxmox.Keep) {
			return false
		}
	}
	return true
}

// longest is the longest tier of a keep: 0 for hours, 4 for years.
func longest(k backup.Keep) (tier int) {
	for i, n := range []int{k.Hourly, k.Daily, k.Weekly, k.Monthly, k.Yearly} {
		if n != 0 {
			tier = i
		}
	}
	return tier
}

// mounted says which guests have the datasets' folders mounted, by the mount points
// that ZFS gives by default.
func mounted(seen guestsSeen, datasets []string) string {
	var by []string
	for _, g := range seen.guests {
		for _, v := range seen.volumes[g.VMID] {
			folder := strings.TrimPrefix(v.HostPath, "/")
			if folder != "" && slices.ContainsFunc(datasets, func(d string) bool { return backup.Under(folder, d) || backup.Under(d, folder) }) {
				by = append(by, v.Slot+" of guest "+g.String())
			}
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " (only mounted as " + strings.Join(by, ", ") + ")"
}

// reach says how far back the worst of some datasets goes, in snapshots of its own
// and in replicas.
func (a *Pools) reach(w World, datasets []string) string {
	var worst time.Time
	where := ""
	for _, d := range datasets {
		oldest, at := time.Time{}, ""
		for _, name := range append([]string{d}, a.replicasOf(d)...) {
			for _, s := range w.Snapshots[name] {
				stamp, ours := backup.StampIn(a.Policy.Prefix, s.Name)
				if t, err := stamp.Time(); ours && err == nil && (oldest.IsZero() || t.Before(oldest)) {
					oldest, at = t, s.String()
				}
			}
		}
		if at == "" {
			return d + " has no point to go back to"
		}
		if oldest.After(worst) {
			worst, where = oldest, at
		}
	}
	return fmt.Sprintf("the oldest point to go back to is %s, %s", where, a.local(worst))
}

// claimed judges a dataset that has no copy on Proxmox Backup Server: where its row
// relies on one, that is not as it should be.
func (a *Copies) claimed(w World, c backup.Covered, x backup.Copy, guests map[string]backup.Copy) backup.Copy {
	if x.State != backup.CopyNone || !a.claims(c, guests) {
		return x
	}
	return backup.Copy{State: backup.CopyUncovered, Note: "kept hourly only, and no guest's volume, so not on Proxmox Backup Server; " +
		a.Pools.reach(w, []string{c.Dataset.Name})}
}
