package activities

import (
	"context"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// Machine is what check needs to know of the machine, and of who runs it.
type Machine struct {
	User int // effective user ID; 0 is root
	// Allowed lists what zfs allow gives User on a dataset; nil if it cannot be asked.
	Allowed func(ctx context.Context, dataset string) ([]string, error)
	Zone    *time.Location // the machine's own
	// Adrift: the kernel says that nothing keeps the clock right.
	Adrift  bool
	Secrets []SecretFile
}

// SecretFile is a secret that the config names, and whether it could be read. It
// never holds the secret.
type SecretFile struct {
	Key   string // proxmox.pve.token
	Place string // file /etc/triplicate/pve.token
	Err   error
	// Elsewhere: it is a systemd credential, and this is not the daemon's unit.
	Elsewhere bool
	// Owner of the file; only root and User can be trusted with it.
	Owner int
}

// machine checks what has nothing to do with the pools' content.
func (a *Checks) machine(ctx context.Context) []Finding {
	var f findings
	a.permissions(ctx, &f)
	for _, s := range a.Machine.Secrets {
		switch {
		case s.Elsewhere:
			f.warn(FindSecret, asUnit,
				"%s is %s, which only the daemon's unit can read", s.Key, s.Place)
		case s.Err != nil:
			f.fail(FindSecret, "put the secret there, owned by root, mode 0400", "%s: %v", s.Key, s.Err)
		case s.Owner != 0 && s.Owner != a.Machine.User:
			f.warn(FindSecret, "chown root it", "%s is %s, whose owner is uid %d and can read and replace it", s.Key, s.Place, s.Owner)
		default:
			f.ok(FindSecret, "%s is %s, closed to others", s.Key, s.Place)
		}
	}
	if a.Machine.Adrift {
		f.warn(FindClock, "timedatectl set-ntp true", "nothing keeps this machine's clock right; stamps, schedules and S3 go by it")
	} else {
		f.ok(FindClock, "the clock is kept right: it is %s", a.Pools.local(a.Pools.Now()))
	}
	a.zone(&f)
	return f
}

// zone compares the config's zone with the machine's. UTC is what many servers are
// set to on purpose; another zone is more likely a config from another place.
func (a *Checks) zone(f *findings) {
	ours, theirs := a.Pools.Policy.Zone, a.Machine.Zone
	now := a.Pools.Now()
	switch {
	case theirs == nil || same(ours, theirs, now):
		f.ok(FindZone, "times in the config are %s, as on this machine", ours)
	case same(theirs, time.UTC, now):
		f.ok(FindZone, "times in the config are %s; this machine's own are UTC", ours)
	default:
		f.warn(FindZone, "correct timezone, or set the machine's (timedatectl set-timezone)",
			"times in the config are %s, but this machine's are %s: now is %s here and %s there",
			ours, theirs, now.In(ours).Format("15:04"), now.In(theirs).Format("15:04"))
	}
}

// same says whether two zones show the same times in the year that follows.
func same(a, b *time.Location, from time.Time) bool {
	for hour := range 366 * 24 {
		t := from.Add(time.Duration(hour) * time.Hour)
		_, x := t.In(a).Zone()
		if _, y := t.In(b).Zone(); x != y {
			return false
		}
	}
	return true
}

// What zfs(8) asks of somebody who is not root, for what we do to a source and to a
// replica (zfs-allow(8)); properties set on receive come on top.
var (
	sourceNeeds = []string{"bookmark", "destroy", "hold", "mount", "release", "send", "snapshot", "userprop"}
	targetNeeds = []string{"create", "destroy", "hold", "mount", "receive", "release", "userprop"}
)

func (a *Checks) permissions(ctx context.Context, f *findings) {
	if a.Machine.User == 0 {
		f.ok(FindPermission, "runs as root")
		return
	}
	const todo = "run check, and the daemon, as root: on Linux only root mounts snapshots for offsite copies and restores"
	if a.Machine.Allowed == nil {
		f.warn(FindPermission, todo, "runs as uid %d, whose permissions cannot be asked for", a.Machine.User)
		return
	}
	needs := map[string][]string{}
	var order []string
	need := func(dataset string, what []string) {
		if needs[dataset] == nil {
			order = append(order, dataset)
		}
		needs[dataset] = append(needs[dataset], what...)
	}
	for _, r := range a.Pools.Policy.Rows {
		if r.Frequency.Kind != backup.Disabled {
			need(r.Dataset, sourceNeeds)
		}
	}
	for _, r := range a.Pools.Policy.Replicas {
		need(r.Source, sourceNeeds)
		need(backup.PoolOf(r.Target), targetNeeds)
	}
	for _, dataset := range order {
		have, err := a.Machine.Allowed(ctx, dataset)
		if err != nil {
			f.warn(FindPermission, todo, "what uid %d may do with %s cannot be seen: %v", a.Machine.User, dataset, err)
			continue
		}
		lacks := lacking(have, needs[dataset])
		if len(lacks) > 0 {
			f.warn(FindPermission, todo, "uid %d may not %s %s", a.Machine.User, strings.Join(lacks, ", "), dataset)
		}
	}
}

// lacking are the needs that are not there, in order, each once.
func lacking(have, needs []string) (lacks []string) {
	for _, n := range needs {
		if !slices.Contains(have, n) && !slices.Contains(lacks, n) {
			lacks = append(lacks, n)
		}
	}
	slices.Sort(lacks)
	return lacks
}
