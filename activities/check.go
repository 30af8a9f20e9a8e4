package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"triplicate/internal/backup"
)

// FindingID names what a finding is about, for good: scripts go by it, and
// docs/checks.md has a section for each.
type FindingID string

// What check looks at.
const (
	FindConfig     FindingID = "config"
	FindZFS        FindingID = "zfs"
	FindPool       FindingID = "pool"
	FindSpace      FindingID = "space"
	FindMissing    FindingID = "missing"
	FindUncovered  FindingID = "uncovered"
	FindUnkept     FindingID = "unkept"
	FindOrphan     FindingID = "orphan"
	FindKey        FindingID = "key"
	FindPrune      FindingID = "prune"
	FindClock      FindingID = "clock"
	FindZone       FindingID = "zone"
	FindPermission FindingID = "permission"
	FindSecret     FindingID = "secret"
	FindPVE        FindingID = "pve"
	FindPVEToken   FindingID = "pve-token"
	FindStorage    FindingID = "pve-storage"
	FindPBS        FindingID = "pbs"
	FindPBSToken   FindingID = "pbs-token"
	FindTimers     FindingID = "pbs-timers"
	FindContainer  FindingID = "pbs-container"
	FindUnsaved    FindingID = "pbs-coverage"
	FindBucket     FindingID = "bucket"
	FindVersioning FindingID = "bucket-versioning"
	FindPublic     FindingID = "bucket-public-access"
	FindEncryption FindingID = "bucket-encryption"
	FindLifecycle  FindingID = "bucket-lifecycle"
	FindTemporal   FindingID = "temporal"
	FindDaemon     FindingID = "daemon"
	FindSchedule   FindingID = "schedule"
)

// Finding is something that check has to say.
type Finding struct {
	ID      FindingID      `json:"id"`
	Outcome backup.Outcome `json:"outcome"` // ok, warning or failed
	Text    string         `json:"text"`
	Todo    string         `json:"todo,omitempty"` // empty if all is well
	Doc     string         `json:"doc"`            // where more is said of it
}

// Found makes a finding.
func Found(id FindingID, o backup.Outcome, todo, text string) Finding {
	return Finding{ID: id, Outcome: o, Text: text, Todo: todo, Doc: "docs/checks.md#" + string(id)}
}

// findings is what one part of check has to say.
type findings []Finding

func (f *findings) ok(id FindingID, format string, args ...any) {
	*f = append(*f, Found(id, backup.OK, "", fmt.Sprintf(format, args...)))
}

func (f *findings) warn(id FindingID, todo, format string, args ...any) {
	*f = append(*f, Found(id, backup.Warning, todo, fmt.Sprintf(format, args...)))
}

func (f *findings) fail(id FindingID, todo, format string, args ...any) {
	*f = append(*f, Found(id, backup.Failed, todo, fmt.Sprintf(format, args...)))
}

// Checks is all that check looks at. It changes nothing anywhere.
type Checks struct {
	*Copies
	Machine Machine
	// Bucket looks at how the bucket of an offsite target is configured. Its errors
	// are those of a bucket that cannot be looked at at all.
	Bucket func(ctx context.Context, target string) ([]BucketFact, error)
	// Patience bounds all that is asked of one server or pool; 0: half a minute. One
	// that is down has refused long before; one that swallows every packet, and a pool
	// that hangs, must not hold up the rest.
	Patience time.Duration
}

// serverPatience is the patience of check where nobody says another.
const serverPatience = 30 * time.Second

// Run looks at everything at once, so that what does not answer costs the others
// nothing, and answers in the same order each time: the machine, pools, Proxmox,
// buckets, then more.
func (a *Checks) Run(ctx context.Context, more ...func(context.Context) []Finding) []Finding {
	patience := cmp.Or(a.Patience, serverPatience)
	// Less, so that what the other pools hold is still judged in time: a zfs command
	// that cannot be killed is waited for ten more seconds.
	world := sync.OnceValues(func() (World, error) { return a.Pools.lookWithin(ctx, patience*3/5) })
	bounded := func(look func(context.Context) []Finding) func(context.Context) []Finding {
		return func(ctx context.Context) []Finding {
			ctx, cancel := context.WithTimeoutCause(ctx, patience, noAnswer(patience))
			defer cancel()
			return look(ctx)
		}
	}
	parts := []func(context.Context) []Finding{
		bounded(a.machine),
		bounded(func(ctx context.Context) []Finding { return a.Pools.check(ctx, world) }),
	}
	if a.Guests != nil {
		parts = append(parts, bounded(func(ctx context.Context) []Finding { return a.proxmox(ctx, world) }))
	}
	for _, o := range a.Pools.Policy.Offsite {
		parts = append(parts, bounded(func(ctx context.Context) []Finding { return a.bucket(ctx, o) }))
	}
	for _, m := range more {
		parts = append(parts, bounded(m))
	}
	found := make([][]Finding, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() { found[i] = part(ctx) })
	}
	wg.Wait()
	return slices.Concat(found...)
}

// asUnit is how a command sees the credentials that only the daemon's unit has.
const asUnit = "systemd-run --pipe --wait -p LoadCredential=NAME:/etc/triplicate/NAME triplicate check asks as the daemon does"

// notAsked is the one thing to say of a server whose secret is not to be had here:
// nothing is known to be wrong with it.
func (f *findings) notAsked(id FindingID, err error, server string) bool {
	if !errors.Is(err, backup.ErrElsewhere) {
		return false
	}
	f.warn(id, asUnit, "%s is not asked: its secret is %v", server, backup.ErrElsewhere)
	return true
}

// remedy is what to do about a server, named by its section of the config, that
// said no or nothing.
func remedy(err error, section string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return "put the secret of " + section + " where the config says, owned by root, mode 0400"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, backup.ErrUnreachable):
		return "is it up, and is its address in " + section + " right? the night goes on without it"
	case errors.Is(err, backup.ErrFingerprint):
		return "if its certificate was renewed on purpose, put the new fingerprint into " + section + "; if not, somebody is in between"
	case errors.Is(err, backup.ErrCredentials):
		return "replace what the file of the token or key in " + section + " holds; it is read anew each time"
	case errors.Is(err, backup.ErrForbidden):
		return "give the token or key of " + section + " what it lacks"
	case errors.Is(err, backup.ErrNotFound):
		return "correct the name in " + section
	}
	return "look at " + section
}
