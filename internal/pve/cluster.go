package pve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"triplicate/internal/backup"
)

// Cluster is what a run depends on, storage being the entry to back up to;
// ErrNotFound if there is none that the token may see. It needs Sys.Audit on / and
// Datastore.Audit on the storage.
func (c *Client) Cluster(ctx context.Context, storage string) (backup.Cluster, error) {
	cluster := backup.Cluster{Quorate: true}
	if err := checkStorage(storage); err != nil {
		return cluster, err
	}
	b, err := c.begin()
	if err != nil {
		return cluster, err
	}
	var version struct{ Version word }
	if _, err := b.get(ctx, &version, nil, "version"); err != nil {
		return cluster, err
	}
	cluster.Version = string(version.Version)
	var members []struct {
		Type, Name word
		Quorate    *flag // absent for a node
		Online     flag
	}
	if _, err := b.get(ctx, &members, nil, "cluster", "status"); err != nil {
		return cluster, err
	}
	var online []string
	for _, m := range members {
		switch {
		case m.Type == "cluster":
			cluster.Name, cluster.Quorate = string(m.Name), m.Quorate != nil && bool(*m.Quorate)
		case m.Type == "node" && bool(m.Online):
			online = append(online, string(m.Name))
		}
	}
	slices.Sort(online)
	if cluster.Storage, err = b.storage(ctx, storage, online); err != nil {
		return cluster, err
	}
	cluster.Jobs, err = b.jobs(ctx, storage)
	return cluster, err
}

// storageRow is a row of /storage: the entry as it stands in storage.cfg.
type storageRow struct {
	Storage, Type, Datastore, Namespace, Pool word
	Prune                                     properties `json:"prune-backups"`
	Disable                                   flag
}

func (b *batch) storages(ctx context.Context) (rows []storageRow, err error) {
	_, err = b.get(ctx, &rows, nil, "storage")
	return rows, err
}

func (b *batch) storage(ctx context.Context, name string, nodes []string) (entry backup.StorageEntry, err error) {
	rows, err := b.storages(ctx)
	if err != nil {
		return entry, err
	}
	i := slices.IndexFunc(rows, func(r storageRow) bool { return string(r.Storage) == name })
	if i < 0 {
		return entry, fmt.Errorf("storage %s, as far as the token may see (Datastore.Audit on /storage/%s): %w", name, name, backup.ErrNotFound)
	}
	r := rows[i]
	entry = backup.StorageEntry{
		Name: name, Type: string(r.Type), Datastore: string(r.Datastore), Namespace: string(r.Namespace),
		Prune: string(r.Prune), Enabled: !bool(r.Disable),
	}
	for _, node := range nodes {
		active, err := b.active(ctx, node, name)
		if err != nil && !errors.Is(err, backup.ErrUnreachable) {
			return entry, err
		}
		if err != nil || !active {
			entry.Down = append(entry.Down, node)
		}
	}
	return entry, nil
}

// active says whether a node reaches the storage. It asks for all that can hold
// backups: a disabled entry that is asked for by name is an error.
func (b *batch) active(ctx context.Context, node, storage string) (bool, error) {
	if err := checkNode(node); err != nil {
		return false, err
	}
	var rows []struct {
		Storage word
		Active  flag
	}
	if _, err := b.get(ctx, &rows, url.Values{"content": {"backup"}}, "nodes", node, "storage"); err != nil {
		return false, err
	}
	for _, r := range rows {
		if string(r.Storage) == storage {
			return bool(r.Active), nil
		}
	}
	return false, nil
}

// jobs are the enabled backup jobs of Proxmox VE itself to the storage.
func (b *batch) jobs(ctx context.Context, storage string) (ids []string, err error) {
	var rows []struct {
		ID, Storage word
		Enabled     *flag // absent: enabled
	}
	if _, err := b.get(ctx, &rows, nil, "cluster", "backup"); err != nil {
		return nil, err
	}
	for _, r := range rows {
		if string(r.Storage) == storage && (r.Enabled == nil || bool(*r.Enabled)) {
			ids = append(ids, string(r.ID))
		}
	}
	return ids, nil
}

// Guests lists the guests of all nodes, by VMID. Proxmox VE leaves out those on
// which the token has no VM.Audit, without a word.
func (c *Client) Guests(ctx context.Context) ([]backup.Guest, error) {
	b, err := c.begin()
	if err != nil {
		return nil, err
	}
	var nodes []struct{ Node, Status word }
	if _, err := b.get(ctx, &nodes, nil, "nodes"); err != nil {
		return nil, err
	}
	online := map[word]bool{}
	for _, n := range nodes {
		online[n.Node] = n.Status == "online"
	}
	var rows []struct {
		VMID                           integer
		Type, Name, Node, Status, Lock word
		Template                       flag
	}
	if _, err := b.get(ctx, &rows, url.Values{"type": {"vm"}}, "cluster", "resources"); err != nil {
		return nil, err
	}
	var guests []backup.Guest
	for _, r := range rows {
		g := backup.Guest{
			VMID: int(r.VMID), Type: backup.GuestType(r.Type), Name: string(r.Name), Node: string(r.Node),
			Online: online[r.Node], Running: r.Status == "running", Lock: string(r.Lock), Template: bool(r.Template),
		}
		// One that is left out would be one that is not backed up.
		if err := checkGuest(g); err != nil {
			return nil, fmt.Errorf("list guests: %w", err)
		}
		guests = append(guests, g)
	}
	slices.SortFunc(guests, func(a, b backup.Guest) int { return cmp.Compare(a.VMID, b.VMID) })
	for i := 1; i < len(guests); i++ {
		if guests[i].VMID == guests[i-1].VMID {
			return nil, fmt.Errorf("list guests: vmid %d twice: %w", guests[i].VMID, errNonsense)
		}
	}
	return guests, nil
}
