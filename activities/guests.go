package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// Guests holds the steps that back guests up. Its methods are the activities.
type Guests struct {
	PVE    Hypervisor
	PBS    Datastore
	Policy backup.Policy // with Proxmox set
	Now    func() time.Time
	// Wait waits for d or until ctx ends; a test's clock waits by its own rules.
	Wait func(ctx context.Context, d time.Duration) error
}

// Register is the one list of these activities.
func (a *Guests) Register(r Registry) {
	r.RegisterActivity(a.PlanGuests)
	r.RegisterActivity(a.StartDump)
	r.RegisterActivity(a.AwaitDump)
	r.RegisterActivity(a.ConfirmDump)
	r.RegisterActivity(a.VerifyDatastore)
	r.RegisterActivity(a.PruneDatastore)
	r.RegisterActivity(a.CollectGarbage)
	r.RegisterActivity(a.AwaitIdle)
}

// GuestRef names a guest in a plan.
type GuestRef struct {
	VMID int    `json:"vmid"`
	Name string `json:"name,omitempty"`
}

// String is what people call the guest.
func (g GuestRef) String() string { return backup.Guest{VMID: g.VMID, Name: g.Name}.String() }

// NodeGuests are the guests that a run backs up on one node, one after the other:
// Proxmox VE locks the whole node for a vzdump.
type NodeGuests struct {
	Node   string     `json:"node"`
	Guests []GuestRef `json:"guests"`
}

// GuestPlan is what a run backs up, and what it leaves out and why.
type GuestPlan struct {
	Nodes []NodeGuests `json:"nodes,omitempty"`
	Items []Item       `json:"items,omitempty"`
}

// PlanGuestsParams is empty: the config and the cluster say which guests.
type PlanGuestsParams struct{}

// PlanGuests looks at the cluster and the datastore and says which guests a run
// backs up. It changes nothing. Without quorum, or with the storage switched off,
// it fails: every dump would.
func (a *Guests) PlanGuests(ctx context.Context, _ PlanGuestsParams) (GuestPlan, error) {
	defer beat(ctx, func() any { return nil })()
	plan, err := a.planGuests(ctx)
	return plan, failure(err)
}

func (a *Guests) planGuests(ctx context.Context) (GuestPlan, error) {
	p := *a.Policy.Proxmox
	cluster, err := a.PVE.Cluster(ctx, p.Storage)
	if err != nil {
		return GuestPlan{}, fmt.Errorf("look at the cluster: %w", err)
	}
	if !cluster.Quorate {
		return GuestPlan{}, fmt.Errorf("cluster %s has no quorum, so no backup can start", cluster.Name)
	}
	if !cluster.Storage.Enabled {
		return GuestPlan{}, fmt.Errorf("storage %s is disabled in Proxmox VE: %w", p.Storage, backup.ErrRefused)
	}
	state, err := a.PBS.State(ctx)
	if err != nil {
		return GuestPlan{}, fmt.Errorf("look at the datastore: %w", err)
	}
	if state.Maintenance != "" {
		return GuestPlan{}, fmt.Errorf("datastore %s is in maintenance mode (%s)", p.Datastore, state.Maintenance)
	}
	guests, err := a.PVE.Guests(ctx)
	if err != nil {
		return GuestPlan{}, fmt.Errorf("list guests: %w", err)
	}
	plan := GuestPlan{Items: clusterWarnings(p, cluster)}
	selected, left := backup.SelectGuests(p, guests)
	for _, l := range left {
		outcome := backup.Warning
		if l.Meant {
			outcome = backup.Skipped
		}
		plan.Items = append(plan.Items, Item{Name: l.Guest.String(), Outcome: outcome, Detail: l.Reason})
	}
	for _, g := range selected {
		i := slices.IndexFunc(plan.Nodes, func(n NodeGuests) bool { return n.Node == g.Node })
		if i < 0 {
			i = len(plan.Nodes)
			plan.Nodes = append(plan.Nodes, NodeGuests{Node: g.Node})
		}
		plan.Nodes[i].Guests = append(plan.Nodes[i].Guests, GuestRef{VMID: g.VMID, Name: g.Name})
	}
	return plan, nil
}

// clusterWarnings are what will bite at some time but not tonight.
func clusterWarnings(p backup.ProxmoxPolicy, c backup.Cluster) (items []Item) {
	warn := func(format string, args ...any) {
		items = append(items, Item{Name: "storage " + p.Storage, Outcome: backup.Warning, Detail: fmt.Sprintf(format, args...)})
	}
	if c.Storage.Type != "" && c.Storage.Type != "pbs" {
		warn("is of type %s, not pbs: backups would not be on Proxmox Backup Server", c.Storage.Type)
	}
	if c.Storage.Datastore != "" && (c.Storage.Datastore != p.Datastore || c.Storage.Namespace != p.Namespace) {
		warn("writes to datastore %s, namespace %q, not to %s, %q: backups will not be found", c.Storage.Datastore, c.Storage.Namespace, p.Datastore, p.Namespace)
	}
	if c.Storage.Prune != "" && c.Storage.Prune != "keep-all=1" {
		// With remove=0, vzdump fails once that limit is reached.
		warn("has its own prune-backups (%s); set it to keep-all=1, or vzdump will fail with \"max backup limit\"", c.Storage.Prune)
	}
	for _, j := range c.Jobs {
		warn("has Proxmox VE's own backup job %s: each guest is backed up twice", j)
	}
	return items
}

// guest finds a guest of the cluster as it is now.
func (a *Guests) guest(ctx context.Context, vmid int) (backup.Guest, []string, error) {
	guests, err := a.PVE.Guests(ctx)
	if err != nil {
		return backup.Guest{}, nil, fmt.Errorf("list guests: %w", err)
	}
	var nodes []string
	var found *backup.Guest
	for i, g := range guests {
		if g.Online && !slices.Contains(nodes, g.Node) {
			nodes = append(nodes, g.Node)
		}
		if g.VMID == vmid {
			found = &guests[i]
		}
	}
	if found == nil {
		return backup.Guest{}, nil, fmt.Errorf("guest %d: %w", vmid, backup.ErrNotFound)
	}
	selected, left := backup.SelectGuests(*a.Policy.Proxmox, []backup.Guest{*found})
	if len(selected) == 0 {
		if !left[0].Meant {
			return *found, nodes, errors.New(left[0].Reason) // an offline node may come back
		}
		return *found, nodes, fmt.Errorf("guest %d: %s: %w", vmid, left[0].Reason, ErrNotConfigured)
	}
	return *found, nodes, nil
}
