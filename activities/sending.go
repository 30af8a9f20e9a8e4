package activities

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
)

// sending is one dataset on its way.
type sending struct {
	*Pools
	replica  backup.Replica
	target   string
	res      ReplicateResult
	progress atomic.Pointer[Progress]
}

// errGone: what was to be sent, or its base, went since we looked. Prune does not
// wait for us: the base has a bookmark, and the next look finds it.
var errGone = errors.New("gone since it was looked at")

func gone(err error) error {
	if errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// run may go round more than once: finishing a half-received older snapshot is
// followed by the increment to the newest.
func (s *sending) run(ctx context.Context, p ReplicateParams) error {
	var sent backup.Snapshot
	why := errors.New("another program may be changing it")
	for range 5 {
		in, err := s.look(ctx, p.Dataset)
		if err != nil {
			return err
		}
		// What ZFS says is not what counts: rc=0 can mean "already exists, ignored".
		// Success is the GUID seen on the target.
		if sent.GUID != 0 && !slices.ContainsFunc(in.Received, func(r backup.Snapshot) bool { return r.GUID == sent.GUID }) {
			return fmt.Errorf("the stream of %s ended well but %s does not have guid %s: %w", sent, s.target, sent.GUID, backup.ErrIncomplete)
		}
		plan, err := backup.PlanSend(in)
		if err != nil {
			return err
		}
		switch {
		case plan.Abort:
			err = s.abort(ctx, in)
		case plan.Kind == backup.SendNothing:
			if s.res.Kind == "" {
				s.res.Kind = string(plan.Kind)
			}
			return s.settle(ctx, in, p)
		default:
			if err = s.send(ctx, in, plan); err == nil {
				sent, s.res.Kind = plan.To, string(plan.Kind)
			}
		}
		if errors.Is(err, errGone) {
			why = err
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("the replica does not come to rest: %w", why)
}

// look sees both ends as they are now.
func (s *sending) look(ctx context.Context, source string) (in backup.SendInput, err error) {
	var now listing
	if now.datasets, now.snaps, now.marks, err = s.ZFS.Exactly(ctx, source, s.target); err != nil {
		return in, err
	}
	in, ok := s.ends(newWorld(backup.Cover(backup.Policy{}, now.datasets), now), s.replica, source)
	if !ok {
		return in, fmt.Errorf("%s: %w", source, backup.ErrNotFound)
	}
	in.Token, err = s.token(ctx, in.Target)
	if errors.Is(err, backup.ErrStaleToken) {
		in.TokenStale, err = true, nil
	}
	return in, err
}

// abort discards a partial receive that leads nowhere. Where the receive made
// the dataset, the dataset goes with it: allowed only when it is marked as our
// replica of this source and has no snapshot.
func (s *sending) abort(ctx context.Context, in backup.SendInput) error {
	if len(in.Received) == 0 && !copyOf(*in.Target, in.Source) {
		return fmt.Errorf("%s holds the beginning of a copy that is not marked as ours; "+
			"look at it, then discard it by hand (zfs receive -A %s): %w", s.target, s.target, backup.ErrPartial)
	}
	if err := s.ZFS.AbortReceive(ctx, s.target); err != nil {
		return fmt.Errorf("discard a partial receive: %w", err)
	}
	return nil
}

// send runs one stream. The bookmark comes first: from then on the chain lives,
// whatever happens to the snapshot.
func (s *sending) send(ctx context.Context, in backup.SendInput, plan backup.SendPlan) (err error) {
	t := backup.Transfer{
		To: plan.To, From: plan.From, FromMark: plan.FromMark, Raw: plan.Raw,
		Type: in.Source.Type, Target: s.target, NewTarget: in.Target == nil,
	}
	if plan.Kind == backup.SendResume {
		t.Token = in.Target.ResumeToken
		t.From, t.FromMark = nil, nil
	}
	if t.NewTarget {
		if t.Props, err = s.firstProps(ctx, in.Source, plan.Raw); err != nil {
			return err
		}
		if err := s.room(ctx, in.Source.Name, s.target); err != nil {
			return err
		}
	}
	release, err := s.hold(ctx, plan.To)
	if err != nil {
		return gone(err)
	}
	defer func() {
		if e := release(); e != nil && err == nil {
			err = fmt.Errorf("release the hold on %s: %w", plan.To, e)
		}
	}()
	total, err := s.ZFS.Estimate(ctx, t)
	if err != nil {
		return gone(err)
	}
	show := func(n int64) {
		s.progress.Store(&Progress{Dataset: in.Source.Name, Kind: string(plan.Kind), Bytes: n, Total: total})
	}
	show(0)
	moved := func() int64 { return s.progress.Load().Bytes }
	err = s.unlessStalled(ctx, moved, func(ctx context.Context) error { return s.ZFS.Transfer(ctx, t, show) })
	if err == nil {
		s.res.Bytes += total
	}
	return gone(err)
}

// firstProps are the properties that a new target gets with its first receive.
func (s *sending) firstProps(ctx context.Context, source backup.Dataset, raw bool) (map[string]string, error) {
	set, err := s.ZFS.Locals(ctx, source.Name)
	if err != nil {
		return nil, err
	}
	props := map[string]string{
		backup.PropSource: backup.SourceMark(source), backup.PropRaw: "off",
		backup.PropOriginal: backup.Originals(set[source.Name]),
	}
	if raw {
		props[backup.PropRaw] = "on"
	}
	return props, nil
}

// releaseWithin bounds the release of a hold after its step was cancelled.
const releaseWithin = time.Minute

// hold bookmarks and holds what is about to be sent. The hold lasts for the step,
// however it ends: one that stays makes `qm destroy` fail. What a partial receive
// needs is protected from prune by its token.
func (s *sending) hold(ctx context.Context, to backup.Snapshot) (release func() error, err error) {
	stamp, ours := backup.StampIn(s.Policy.Prefix, to.Name)
	if !ours {
		// Somebody's partial receive is finished. Without a bookmark of ours, a hold
		// would not be found again: see backup.MayBeHeld.
		return func() error { return nil }, nil
	}
	tag := backup.StepTag(s.replica.Name)
	err = s.ZFS.Bookmark(ctx, to, backup.BookmarkName(s.Policy.Prefix, s.replica.Name, stamp))
	if err == nil {
		err = s.ZFS.Hold(ctx, tag, to.String())
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWithin)
		defer cancel()
		return s.ZFS.Release(ctx, tag, to.String())
	}, nil
}

// room makes what must be above a new target. Above the replica's own root that is
// nobody's copy. Below it, an empty dataset in the place of a parent that the
// replica copies would keep the parent from ever being received, and a child below
// a half-received parent would keep that from being discarded: such a child waits.
func (s *sending) room(ctx context.Context, source, target string) error {
	above := path.Dir(target)
	if source == s.replica.Source {
		return s.ZFS.Create(ctx, above)
	}
	parent := path.Dir(source)
	datasets, snaps, _, err := s.ZFS.Exactly(ctx, parent, above)
	if err != nil {
		return err
	}
	var own []backup.Snapshot
	there, received, copied := false, false, false
	for _, x := range snaps {
		if x.Dataset == parent {
			own = append(own, x)
		}
		received = received || x.Dataset == above
	}
	cover := backup.Cover(s.Policy, datasets)
	for _, c := range cover.Sources(s.replica) {
		copied = copied || c.Dataset.Name == parent && c.Copied(s.Policy.Prefix, own)
	}
	there = slices.ContainsFunc(datasets, func(d backup.Dataset) bool { return d.Name == above })
	switch {
	case there && (received || !copied):
		return nil
	case copied:
		return fmt.Errorf("%s comes first, and %s goes below it: %w", parent, source, backup.ErrNoParent)
	}
	if err := s.room(ctx, parent, above); err != nil {
		return err
	}
	return s.ZFS.Create(ctx, above)
}
