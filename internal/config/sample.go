package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// Schema is the first line of a config: editors find the schema by it.
const schemaLine = "# yaml-language-server: $schema=triplicate.schema.json\n"

var notInHost = regexp.MustCompile(`[^a-z0-9-]+`)

// Sample is a config to begin with, made from the pools that a machine has: a row for
// each pool, so that what is made later is covered too, a narrower one for each
// dataset directly below it, and the other sections as comments. It loads as it is.
// Names that a config cannot hold are left out, with a comment. What another tool copies
// to is disabled: a snapshot there would break that tool's next receive, or be destroyed
// by it.
func Sample(hostname, zone string, pools []backup.Pool, datasets []backup.Dataset, lineage backup.Lineage) string {
	var b strings.Builder
	b.WriteString(schemaLine)
	fmt.Fprintf(&b, sampleHead, text(sampleHost(hostname)), sampleZone(zone))
	for _, p := range pools {
		fmt.Fprintf(&b, "\n  # Pool %s, %s of %s free. What has no row below is under this one, also what is made later.\n", p.Name, backup.Bytes(p.Free), backup.Bytes(p.Size))
		b.WriteString(row(p.Name, "daily at 01:30", "{ daily: 7, weekly: 4 }", ""))
		b.WriteString(sampleRows(p.Name, datasets, lineage))
	}
	slow := slices.MaxFunc(pools, func(a, b backup.Pool) int { return int(min(1, max(-1, a.Size-b.Size))) }).Name
	fast := slices.MinFunc(pools, func(a, b backup.Pool) int { return int(min(1, max(-1, a.Size-b.Size))) }).Name
	if fast == slow {
		fast, slow = "nvme", "hdd"
	}
	fmt.Fprintf(&b, sampleTail, fast, slow, slow, text(slow), sampleHost(hostname), text(slow))
	return b.String()
}

// sampleRows are the rows below one pool.
func sampleRows(pool string, datasets []backup.Dataset, lineage backup.Lineage) string {
	var b strings.Builder
	above := backup.Dataset{} // the replica, ours or another tool's, that was listed last
	for _, d := range datasets {
		under := above.Name != "" && backup.Under(d.Name, above.Name)
		switch {
		case backup.PoolOf(d.Name) != pool || d.Name == pool:
		case under && (isReplica(above) || isForeign(d, lineage)):
		case under:
			// Written to, so not received with what is above: that row must not hide it.
			b.WriteString(sampleRow(d, true, lineage))
		default:
			if isReplica(d) || isForeign(d, lineage) {
				above = d
			}
			b.WriteString(sampleRow(d, false, lineage))
		}
	}
	return b.String()
}

// sampleRow is the row of one dataset: of those directly below a pool, or at any
// depth if it is to have one of its own, and of replicas wherever they are, for a
// snapshot of ours would break their next receive.
func sampleRow(d backup.Dataset, own bool, lineage backup.Lineage) string {
	last := d.Name[strings.LastIndexByte(d.Name, '/')+1:]
	switch {
	case checkDataset(d.Name) != nil:
		return fmt.Sprintf("  # %q: a name that this file cannot hold\n", d.Name)
	case isReplica(d):
		return row(d.Name, "disabled", "", "a replica: name it under replicas, and delete this row")
	case lineage.CopyOf[d.Name] != "":
		return row(d.Name, "disabled", "", "another tool's copy of "+lineage.CopyOf[d.Name]+": a snapshot here would break its next receive")
	case lineage.Twin[d.Name] != "":
		return row(d.Name, "hourly", "{ hourly: 24, daily: 7, weekly: 4, monthly: 3 }", "shares its newest snapshot with "+lineage.Twin[d.Name]+": disable whichever is the copy")
	case isForeign(d, lineage):
		return row(d.Name, "disabled", "", "read-only or received: if another tool receives it, a snapshot here would break the next receive")
	case strings.Count(d.Name, "/") > 1 && !own:
		return ""
	case strings.Contains(strings.ToLower(last), "backup"):
		return row(d.Name, "daily at 02:00", "{ daily: 3 }", "disabled, if it keeps versions itself, as Proxmox Backup Server does")
	case d.Used >= 1<<40:
		return row(d.Name, "daily at 01:30", "{ daily: 14, weekly: 8, monthly: 6 }", backup.Bytes(d.Used)+", so rarely written, is it?")
	}
	return row(d.Name, "hourly", "{ hourly: 24, daily: 7, weekly: 4, monthly: 3 }", "")
}

func isReplica(d backup.Dataset) bool {
	return d.Properties[backup.PropSource].Local() || d.Properties[backup.PropContainer].Local()
}

// isForeign says whether another tool copies to a dataset.
func isForeign(d backup.Dataset, lineage backup.Lineage) bool {
	return isReceived(d) || lineage.CopyOf[d.Name] != ""
}

// isReceived says whether another tool seems to receive a dataset: nobody else sets
// one read-only, and received properties came with a stream (zfsprops(7)).
func isReceived(d backup.Dataset) bool {
	for _, p := range d.Properties {
		if p.Source == "received" {
			return true
		}
	}
	return d.ReadOnly
}

// notText is what YAML reads as something else than text, or an older reader did.
var notText = regexp.MustCompile(`^([0-9].*|true|false|null|yes|no|on|off|y|n)$`)

// text is a name as it is written in YAML.
func text(name string) string {
	if strings.ContainsAny(name, " :") || notText.MatchString(strings.ToLower(name)) {
		return strconv.Quote(name)
	}
	return name
}

// row is a line of the table, aligned where names are of ordinary length.
func row(dataset, frequency, keep, comment string) string {
	name := text(dataset) + ","
	line := fmt.Sprintf("  - { dataset: %-24s frequency: %s", name, frequency)
	if keep != "" {
		line = fmt.Sprintf("  - { dataset: %-24s frequency: %-15s keep: %s", name, frequency+",", keep)
	}
	line += " }"
	if comment != "" {
		line += "  # " + comment
	}
	return line + "\n"
}

// sampleHost makes a host's name fit for workflow IDs.
func sampleHost(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Trim(notInHost.ReplaceAllString(name, "-"), "-")
	name = strings.Trim(name[:min(len(name), 63)], "-")
	if kinds["host"].check(name) != nil {
		return "server"
	}
	return name
}

func sampleZone(zone string) string {
	if checkZone(zone) != nil {
		return "UTC"
	}
	return zone
}

const sampleHead = `# Made by triplicate init from the pools of this machine. It loads as it is; look at the rows, then:
#   triplicate check     does it fit this machine?
#   triplicate plan      what would tonight do?
# Every key and default: docs/configuration.md. triplicate schema > triplicate.schema.json, beside this file, lets an
# editor complete and check it.

host:     %s     # in every workflow ID and task queue
timezone: %s     # of every time below

# ZFS snapshots. A row covers a dataset and all below it; the most specific row wins. A frequency is hourly,
# daily at HH:MM or disabled; a keep says how many stay.
snapshots:
`

const sampleTail = `
# Copies on another pool. Received snapshots stay as the row over the target says. The target must not exist yet.
# replicas:
#   - { source: %s/personal, target: %s/replicas/personal, frequency: daily at 02:30 }

# VMs and containers to Proxmox Backup Server. Tokens are read from files with mode 0400; docs/setup.md makes them.
# proxmox:
#   frequency: daily at 02:00
#   keep: { daily: 3, weekly: 2, monthly: 3 }
#   pve:
#     urls: [ https://127.0.0.1:8006 ]
#     # fingerprints: [ ... ]                       # of self-signed certificates: docs/setup.md
#     token: { file: /etc/triplicate/pve.token }    # user@realm!name=secret
#     storage: pbs                                  # pvesm status
#   pbs:
#     url: https://pbs.lan:8007
#     # fingerprint: ...                            # proxmox-backup-manager cert info
#     token: { file: /etc/triplicate/pbs.token }    # user@realm!name:secret
#     datastore: backups
#     # dataset: %s/backups                         # where the datastore is, if on this machine
#     # vmid: 900                                   # of the container it runs in: backing itself up would freeze it

# A whole pool to S3, in Glacier at once; docs/setup.md makes the bucket and its key. What costs more than the cap waits for:
# triplicate ack offsite
# offsite:
#   - name: aws
#     frequency: daily at 03:00
#     pool: %s
#     bucket: %s-offsite
#     region: eu-central-1
#     prefix: %s
#     credentials: { file: /etc/triplicate/aws.credentials }
#     cost_cap_usd: 5
`
