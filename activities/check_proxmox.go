package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"triplicate/internal/backup"
)

// proxmox checks both servers at the same time, then what their guests mean for
// the datasets.
func (a *Checks) proxmox(ctx context.Context, world func() (World, error)) []Finding {
	var pve, pbs findings
	var seen guestsSeen
	var wg sync.WaitGroup
	wg.Go(func() { seen = a.Guests.checkPVE(ctx, &pve) })
	wg.Go(func() { a.Guests.checkPBS(ctx, &pbs) })
	wg.Wait()
	f := append(pve, pbs...)
	// What cannot be seen has been said; nothing is concluded from it.
	if w, err := world(); err == nil && seen.all {
		a.checkContainer(ctx, w, seen, &f)
		a.checkUnsaved(w, seen, &f)
	}
	return f
}

// guestsSeen are the cluster's guests with their volumes.
type guestsSeen struct {
	guests  []backup.Guest
	volumes map[int][]backup.GuestVolume // by VMID
	all     bool                         // no volume is missing
}

func (a *Guests) checkPVE(ctx context.Context, f *findings) (seen guestsSeen) {
	p := *a.Policy.Proxmox
	cluster, err := a.PVE.Cluster(ctx, p.Storage)
	if f.notAsked(FindPVE, err, "Proxmox VE") {
		return seen
	}
	switch {
	case err == nil && !cluster.Quorate:
		f.fail(FindPVE, "bring the other nodes up, or pvecm expected 1", "cluster %s has no quorum, so no backup can start", cluster.Name)
	case err == nil:
		f.ok(FindPVE, "Proxmox VE %s answers", cluster.Version)
		a.checkStorage(p, cluster, f)
	case errors.Is(err, backup.ErrForbidden):
		// What the token lacks is said below.
	case errors.Is(err, backup.ErrNotFound):
		f.fail(FindStorage, "correct proxmox.pve.storage (pvesm status), or give the token Datastore.Audit on it", "%v", err)
	default:
		f.fail(FindPVE, remedy(err, "proxmox.pve"), "%v", err)
		return seen
	}
	guests, err := a.PVE.Guests(ctx)
	if err != nil {
		f.fail(FindPVE, remedy(err, "proxmox.pve"), "list guests: %v", err)
		return seen
	}
	a.checkPVEToken(ctx, guests, f)
	seen = guestsSeen{guests: guests, volumes: map[int][]backup.GuestVolume{}, all: true}
	for _, g := range guests {
		if seen.volumes[g.VMID], err = a.PVE.Volumes(ctx, g); err != nil {
			f.warn(FindUnsaved, remedy(err, "proxmox.pve"), "the volumes of guest %s cannot be seen: %v", g, err)
			seen.all = false
			break
		}
	}
	return seen
}

func (a *Guests) checkStorage(p backup.ProxmoxPolicy, c backup.Cluster, f *findings) {
	if !c.Storage.Enabled {
		f.fail(FindStorage, "pvesm set "+p.Storage+" --disable 0", "storage %s is disabled in Proxmox VE, so every backup would fail", p.Storage)
		return
	}
	warnings := clusterWarnings(p, c)
	for _, it := range warnings {
		f.warn(FindStorage, "see pvesm config and Datacenter, Backup in Proxmox VE", "%s %s", it.Name, it.Detail)
	}
	if len(c.Storage.Down) > 0 {
		f.warn(FindStorage, "pvesm status on that node says why", "storage %s is not active on %s: guests there are not backed up",
			p.Storage, strings.Join(c.Storage.Down, ", "))
	} else if len(warnings) == 0 {
		f.ok(FindStorage, "storage %s is active on every node", p.Storage)
	}
}

// checkPVEToken looks for what a night needs. A token has only what both it and its
// user were given, and Proxmox VE leaves out guests that it may not see.
func (a *Guests) checkPVEToken(ctx context.Context, guests []backup.Guest, f *findings) {
	p := *a.Policy.Proxmox
	storage := "/storage/" + p.Storage
	var lacks []string
	look := func(path string, needs ...string) bool {
		have, err := a.PVE.Privileges(ctx, path)
		if err != nil {
			f.warn(FindPVEToken, remedy(err, "proxmox.pve"), "the token's privileges cannot be seen: %v", err)
			return false
		}
		for _, l := range lacking(have, needs) {
			lacks = append(lacks, l+" on "+path)
		}
		return true
	}
	if !look("/", "Sys.Audit") || !look(storage, "Datastore.AllocateSpace", "Datastore.Audit") {
		return
	}
	before := len(lacks)
	if !look("/vms", "VM.Audit", "VM.Backup") {
		return
	}
	if selected, _ := backup.SelectGuests(p, guests); len(lacks) > before && len(selected) > 0 {
		// By a pool, or one by one, is as good: then each guest has them.
		lacks = lacks[:before]
		for _, g := range selected {
			if !look(fmt.Sprintf("/vms/%d", g.VMID), "VM.Audit", "VM.Backup") {
				return
			}
		}
	}
	if len(lacks) > 0 {
		f.fail(FindPVEToken, "give them to the token and to its user (pveum acl modify PATH --tokens ... --users ... --roles ...)",
			"the token of Proxmox VE lacks %s", strings.Join(lacks, ", "))
		return
	}
	f.ok(FindPVEToken, "the token of Proxmox VE may back up %d guests", len(guests))
}

func (a *Guests) checkPBS(ctx context.Context, f *findings) {
	p := *a.Policy.Proxmox
	state, err := a.PBS.State(ctx)
	if f.notAsked(FindPBS, err, "Proxmox Backup Server") {
		return
	}
	if err != nil && !errors.Is(err, backup.ErrForbidden) {
		f.fail(FindPBS, remedy(err, "proxmox.pbs"), "Proxmox Backup Server: %v", err)
		return
	}
	if err == nil {
		a.checkDatastore(p.Datastore, state, f)
	}
	var lacks []string
	for _, need := range []struct {
		path  string
		needs []string
	}{
		{strings.TrimSuffix("/datastore/"+p.Datastore+"/"+p.Namespace, "/"), []string{"Datastore.Audit", "Datastore.Modify", "Datastore.Verify"}},
		{"/system", []string{"Sys.Audit"}},
	} {
		have, err := a.PBS.Privileges(ctx, need.path)
		if err != nil {
			f.warn(FindPBSToken, remedy(err, "proxmox.pbs"), "the token's privileges cannot be seen: %v", err)
			return
		}
		for _, l := range lacking(have, need.needs) {
			lacks = append(lacks, l+" on "+need.path)
		}
	}
	if len(lacks) > 0 {
		f.fail(FindPBSToken, "give the token and its user DatastoreAdmin on the datastore and Audit on /system (proxmox-backup-manager acl update)",
			"the token of Proxmox Backup Server lacks %s", strings.Join(lacks, ", "))
		return
	}
	f.ok(FindPBSToken, "the token of Proxmox Backup Server may verify, prune and collect garbage")
}

func (a *Guests) checkDatastore(name string, s backup.DatastoreState, f *findings) {
	switch {
	case s.Maintenance != "":
		f.fail(FindPBS, "proxmox-backup-manager datastore update "+name+" --delete maintenance-mode", "datastore %s is in maintenance mode (%s)", name, s.Maintenance)
	case s.Size > 0 && s.Available*10 < s.Size:
		f.warn(FindSpace, "keep fewer backups, collect garbage, or add space", "datastore %s is more than 90 %% full (%s free)", name, backup.Bytes(s.Available))
	default:
		f.ok(FindPBS, "Proxmox Backup Server %s answers, datastore %s has %s free", s.Version, name, backup.Bytes(s.Available))
	}
	for _, t := range s.Timers {
		f.warn(FindTimers, "disable it there: triplicate verifies, prunes and collects garbage after each night's backups",
			"Proxmox Backup Server has its own %s on datastore %s", t, name)
	}
}
