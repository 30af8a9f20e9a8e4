package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// Policy is the config with every name resolved. It is the same each time: a
// Config that Load returned cannot fail here.
//
// A disabled row stays in the table, so that it hides its datasets from less
// specific rows and is listed. A disabled replica is gone from Replicas, and its
// target becomes a disabled row: the row above it must not begin to take
// snapshots there, for the next receive would break.
func (c *Config) Policy() backup.Policy {
	p := backup.Policy{
		Host:      c.Host,
		Prefix:    c.SnapshotPrefix,
		LatestEnd: c.latestEnd(),
	}
	// Load has tried it already; without a zone nothing would be due.
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil {
		panic("config: " + err.Error())
	}
	p.Zone = zone
	for _, r := range c.Snapshots {
		p.Rows = append(p.Rows, backup.Row{Dataset: r.Dataset, Frequency: r.Frequency, Keep: r.Keep, Exclude: slices.Clone(r.Exclude)})
	}
	names := c.replicaNames()
	for i, r := range c.Replicas {
		if r.Frequency.Kind == backup.Disabled {
			if !slices.ContainsFunc(p.Rows, func(row backup.Row) bool { return row.Dataset == r.Target }) {
				p.Rows = append(p.Rows, backup.Row{Dataset: r.Target, Frequency: r.Frequency})
			}
			continue
		}
		p.Replicas = append(p.Replicas, backup.Replica{Name: names[i], Source: r.Source, Target: r.Target, At: r.Frequency.At})
	}
	if x := c.Proxmox; x != nil && x.Frequency.Kind != backup.Disabled {
		p.Proxmox = &backup.ProxmoxPolicy{
			At: x.Frequency.At, Storage: x.PVE.Storage, Datastore: x.PBS.Datastore, Namespace: x.PBS.Namespace,
			Keep: x.Keep, Exclude: slices.Clone(x.Exclude), PBSGuest: x.PBS.VMID, Dataset: x.PBS.Dataset,
		}
	}
	for _, o := range c.Offsite {
		if o.Frequency.Kind == backup.Disabled {
			continue
		}
		p.Offsite = append(p.Offsite, backup.OffsitePolicy{Name: o.Name, At: o.Frequency.At, Pool: o.Pool, Bucket: o.Bucket,
			Prefix: strings.TrimSuffix(o.Prefix, "/"), CapUSD: o.CostCapUSD})
	}
	return p
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// replicaNames are the replicas' names in the order of the file. Names are part
// of bookmarks and holds, so appending a replica never renames one before it: the
// first keeps the short name, a later one takes the longer.
func (c *Config) replicaNames() []string {
	taken := map[string]bool{}
	for _, r := range c.Replicas {
		taken[r.Name] = true // also "", which no replica may get
	}
	names := make([]string, len(c.Replicas))
	for i, r := range c.Replicas {
		if names[i] = r.Name; r.Name != "" {
			continue
		}
		name := inName(r.Source[strings.LastIndex(r.Source, "/")+1:])
		if taken[name] {
			name = inName(r.Source)
		}
		for n, base := 2, name; taken[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		taken[name], names[i] = true, name
	}
	return names
}

// inName makes a dataset's name fit for workflow IDs; the end of it says most.
func inName(dataset string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(dataset), "-"), "-")
	return strings.Trim(name[max(0, len(name)-44):], "-")
}
