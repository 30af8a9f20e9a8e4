package activities_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/pbs/pbstest"
	"triplicate/internal/pve/pvetest"
	"triplicate/internal/zfs/zfstest"
)

// guarded is Smith's pools beside a proxmox: two guests' volumes and a folder that
// is mounted into one of them.
type guarded struct {
	*proxmox
	host   *zfstest.Host
	checks *activities.Checks
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{proxmox: newProxmox(t)}
	g.host = hostOf(t, "nvme/vm", "nvme/personal", "nvme/personal/photos", "hdd/backups-data")
	for _, v := range []string{"nvme/vm/vm-101-disk-0", "nvme/vm/vm-110-disk-0"} {
		g.host.MkVolume(v)
	}
	g.host.MkDataset("nvme/vm/subvol-105-disk-0")
	g.host.MkDataset("nvme/vm/subvol-900-disk-0")
	g.cluster.Remove(105)
	g.cluster.Remove(900)
	for _, x := range []pvetest.Guest{
		{VMID: 105, Name: "plex", Type: backup.Container, Node: "smith", Config: map[string]string{"rootfs": "nvme:subvol-105-disk-0,size=8G", "mp0": "/nvme/personal,mp=/media"}},
		{VMID: 900, Name: "pbs", Type: backup.Container, Node: "smith", Config: map[string]string{"rootfs": "nvme:subvol-900-disk-0,size=8G"}},
	} {
		must(t, g.cluster.AddGuest(x))
	}
	pools := stepsOf(g.host,
		backup.Row{Dataset: "nvme", Frequency: disabled},
		backup.Row{Dataset: "nvme/vm", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
		backup.Row{Dataset: "nvme/personal", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
		backup.Row{Dataset: "hdd", Frequency: daily, Keep: backup.Keep{Daily: 3}})
	pools.Policy.Proxmox = g.Policy.Proxmox
	g.checks = &activities.Checks{Copies: &activities.Copies{Pools: pools, Guests: g.Guests}}
	return g
}

// TestCheckOfProxmox: each way in which a night's guests would not be backed up.
func TestCheckOfProxmox(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*testing.T, *guarded)
		id      activities.FindingID
		outcome backup.Outcome
		text    string
	}{
		"it answers":           {func(*testing.T, *guarded) {}, activities.FindPVE, backup.OK, "Proxmox VE 9.2.3 answers"},
		"storage":              {func(*testing.T, *guarded) {}, activities.FindStorage, backup.OK, "active on every node"},
		"token":                {func(*testing.T, *guarded) {}, activities.FindPVEToken, backup.OK, "may back up 4 guests"},
		"datastore":            {func(*testing.T, *guarded) {}, activities.FindPBS, backup.OK, "datastore backups-vm has"},
		"token of the other":   {func(*testing.T, *guarded) {}, activities.FindPBSToken, backup.OK, "may verify"},
		"no quorum":            {func(_ *testing.T, g *guarded) { g.cluster.SetQuorate(false) }, activities.FindPVE, backup.Failed, "no quorum"},
		"both nodes are down":  {func(_ *testing.T, g *guarded) { g.cluster.Down("smith"); g.cluster.Down("jones") }, activities.FindPVE, backup.Failed, "is it up"},
		"the token is revoked": {func(_ *testing.T, g *guarded) { g.cluster.Revoke(pvetest.DefaultToken.ID) }, activities.FindPVE, backup.Failed, "replace what the file of the token"},
		"another certificate": {func(t *testing.T, g *guarded) {
			must(t, g.cluster.Renew("smith"))
			must(t, g.cluster.Renew("jones"))
		}, activities.FindPVE, backup.Failed, "fingerprint"},
		"the storage is off": {func(_ *testing.T, g *guarded) {
			g.cluster.SetStorage("pbs-smith", func(s *pvetest.Storage) { s.Disabled = true })
		}, activities.FindStorage, backup.Failed, "is disabled"},
		"the storage is unknown": {func(_ *testing.T, g *guarded) { g.Policy.Proxmox.Storage = "pbs-typo" }, activities.FindStorage, backup.Failed, "correct proxmox.pve.storage"},
		"it prunes by itself": {func(_ *testing.T, g *guarded) {
			g.cluster.SetStorage("pbs-smith", func(s *pvetest.Storage) { s.Prune = "keep-last=3" })
		}, activities.FindStorage, backup.Warning, "max backup limit"},
		"down on one node": {func(_ *testing.T, g *guarded) {
			g.cluster.SetStorage("pbs-smith", func(s *pvetest.Storage) { s.Down = []string{"jones"} })
		}, activities.FindStorage, backup.Warning, "not active on jones"},
		"the token may not back up": {func(_ *testing.T, g *guarded) { grant(g.cluster, "VM.Audit") },
			activities.FindPVEToken, backup.Failed, "VM.Backup on /vms/101, VM.Backup on /vms/105"},
		"the token may not look at the cluster": {func(_ *testing.T, g *guarded) {
			g.cluster.SetACL(pvetest.ACL{Path: "/vms", Who: "triplicate@pve", Privileges: []string{"VM.Audit"}})
		}, activities.FindPVEToken, backup.Failed, "Sys.Audit on /, Datastore.AllocateSpace on /storage/pbs-smith"},
		"the server is down": {func(_ *testing.T, g *guarded) { g.server.SetDown(true) }, activities.FindPBS, backup.Failed, "is it up"},
		"maintenance":        {func(_ *testing.T, g *guarded) { g.store.SetMaintenance("read-only", "") }, activities.FindPBS, backup.Failed, "maintenance mode (read-only)"},
		"it has a timer of its own": {func(_ *testing.T, g *guarded) {
			g.server.AddJob("prune", pbstest.Job{ID: "nightly", Store: "backups-vm", Schedule: "daily"})
		}, activities.FindTimers, backup.Warning, "prune job nightly (daily)"},
		"the token may only write": {func(t *testing.T, g *guarded) {
			g.server.RevokeToken("triplicate@pbs!backup")
			must(t, g.server.AddToken(pbsToken, pbstest.DatastoreBackup))
		}, activities.FindPBSToken, backup.Failed, "Datastore.Audit on /datastore/backups-vm, Datastore.Modify on /datastore/backups-vm, Datastore.Verify on /datastore/backups-vm, Sys.Audit on /system"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			tc.change(t, g)
			expect(t, g.checks.Run(t.Context()), tc.id, tc.outcome, tc.text)
		})
	}
}

// grant gives the token and its user all but what a role on guests has.
func grant(c *pvetest.Cluster, onGuests ...string) {
	var acl []pvetest.ACL
	for _, who := range []string{"triplicate@pve", "triplicate@pve!backup"} {
		acl = append(acl, pvetest.ACL{Path: "/", Who: who, Privileges: []string{"Sys.Audit"}},
			pvetest.ACL{Path: "/vms", Who: who, Privileges: onGuests},
			pvetest.ACL{Path: "/storage", Who: who, Privileges: []string{"Datastore.Audit", "Datastore.AllocateSpace"}})
	}
	c.SetACL(acl...)
}

// TestContainerOfTheBackupServer: left out of its own backup, its configuration has to
// be elsewhere (trap 17).
func TestContainerOfTheBackupServer(t *testing.T) {
	g := newGuarded(t)
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.Warning, "add a replica of nvme/vm/subvol-900-disk-0")
	g.checks.Pools.Policy.Replicas = []backup.Replica{{Name: "pbs", Source: "nvme/vm/subvol-900-disk-0", Target: "hdd/backups-data/pbs"}}
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.Warning, "not backed up elsewhere")
	g.host.MkDataset("hdd/backups-data/pbs")
	grow(t, g.host, "hdd/backups-data/pbs", 1, time.Hour)
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.OK, "copied to hdd/backups-data/pbs")
	g.checks.Pools.Policy.Proxmox.PBSGuest = 901
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.Warning, "no guest 901")
}

// pointsOnly is a vault that can only be listed.
type pointsOnly struct {
	activities.Vault
	points []backup.OffsitePoint
}

func (v *pointsOnly) Points(context.Context) ([]backup.OffsitePoint, error) { return v.points, nil }

// TestContainerIsOffsiteOnceItIsThere: that the pool is to be copied offsite is no copy.
func TestContainerIsOffsiteOnceItIsThere(t *testing.T) {
	g := newGuarded(t)
	vault := &pointsOnly{points: []backup.OffsitePoint{{Dataset: "nvme/personal"}}}
	g.checks.Pools.Policy.Offsite = []backup.OffsitePolicy{{Name: "aws", Pool: "nvme", Bucket: "b"}}
	g.checks.Offsite = &activities.Offsite{Pools: g.checks.Pools, Vault: func(string) (activities.Vault, error) { return vault, nil }}
	g.checks.Bucket = func(context.Context, string) ([]activities.BucketFact, error) { return nil, nil }
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.Warning, "not backed up elsewhere")
	vault.points = append(vault.points, backup.OffsitePoint{Dataset: "nvme/vm/subvol-900-disk-0"})
	expect(t, g.checks.Run(t.Context()), activities.FindContainer, backup.OK, "copied to aws")
}

// TestClaimOfCover: what ZFS keeps for hours and no guest has as a volume is not on
// Proxmox Backup Server, whatever the table says (trap 18); check and status say how
// far back it really goes.
func TestClaimOfCover(t *testing.T) {
	g := newGuarded(t)
	grow(t, g.host, "nvme/personal", 5, time.Hour)
	expect(t, g.checks.Run(t.Context()), activities.FindUnsaved, backup.Warning,
		"nvme/personal and 1 below it: kept hourly only, and no guest's volume (only mounted as mp0 of guest 105 (plex)), so Proxmox Backup Server has none of it; nvme/personal/photos has no point")
	grow(t, g.host, "nvme/personal/photos", 3, time.Hour)
	all := g.checks.Run(t.Context())
	expect(t, all, activities.FindUnsaved, backup.Warning, "nvme/personal/photos@triplicate-20261124T213000Z, 2026-11-24 21:30 UTC")
	if _, texts := found(all, activities.FindUnsaved); strings.Contains(texts, "nvme/vm") {
		t.Errorf("guests' volumes are saved:\n%s", texts)
	}
	status, err := g.checks.Status(t.Context())
	must(t, err)
	for _, d := range status {
		if unsaved := d.Proxmox.State == backup.CopyUncovered; unsaved != backup.Under(d.Dataset, "nvme/personal") {
			t.Errorf("%s: %+v", d.Dataset, d.Proxmox)
		}
	}
	must(t, g.cluster.AddGuest(pvetest.Guest{VMID: 120, Name: "db", Node: "smith", Config: map[string]string{"scsi1": "nvme:vm-120-disk-1,backup=0"}}))
	expect(t, g.checks.Run(t.Context()), activities.FindUnsaved, backup.Warning, "scsi1 of guest 120 (db) (nvme/vm/vm-120-disk-1) is left out")
}

// TestCheckChangesNothing, on either server.
func TestCheckChangesNothing(t *testing.T) {
	g := newGuarded(t)
	before := len(g.host.Calls())
	g.checks.Run(t.Context())
	for _, r := range g.cluster.Journal() {
		if r.Method != "GET" {
			t.Errorf("Proxmox VE: %s", r)
		}
	}
	for _, r := range g.server.Requests() {
		if r.Method != "GET" {
			t.Errorf("Proxmox Backup Server: %s %s", r.Method, r.Path)
		}
	}
	if calls := g.host.Calls()[before:]; len(calls) > 0 {
		t.Errorf("pools: %v", calls)
	}
}

// TestCheckWaitsForNobody: a server that never answers costs the others nothing, and
// check half a minute.
func TestCheckWaitsForNobody(t *testing.T) {
	g := newGuarded(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	silent := func(ctx context.Context) []activities.Finding {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("nothing bounds what is asked of a server")
		}
		close(asked)
		<-ctx.Done()
		return []activities.Finding{activities.Found(activities.FindTemporal, backup.Failed, "wait", ctx.Err().Error())}
	}
	done := make(chan []activities.Finding)
	go func() { done <- g.checks.Run(ctx, silent) }()
	<-asked
	cancel()
	expect(t, <-done, activities.FindTemporal, backup.Failed, "canceled")
}
