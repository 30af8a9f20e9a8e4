package activities

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync/atomic"

	"triplicate/internal/backup"
)

// replica finds a replica by name.
func (a *Pools) replica(name string) (backup.Replica, error) {
	for _, r := range a.Policy.Replicas {
		if r.Name == name {
			return r, nil
		}
	}
	return backup.Replica{}, fmt.Errorf("replica %q: %w", name, ErrNotConfigured)
}

// PlanReplica lists the datasets that a replica copies, parents first, and what
// of it cannot be copied. It changes nothing.
func (a *Pools) PlanReplica(ctx context.Context, p PlanReplicaParams) (ReplicaPlan, error) {
	defer beat(ctx, func() any { return nil })()
	r, err := a.replica(p.Replica)
	if err != nil {
		return ReplicaPlan{}, failure(err)
	}
	w, err := a.look(ctx)
	if err != nil {
		return ReplicaPlan{}, failure(fmt.Errorf("look at replica %s: %w", r.Name, err))
	}
	plan := ReplicaPlan{Replica: r.Name, Source: r.Source, Target: r.Target}
	if w.dataset(r.Source) == nil {
		return plan, failure(fmt.Errorf("source %s of replica %s: %w", r.Source, r.Name, backup.ErrNotFound))
	}
	for _, c := range w.cover.Sources(r) {
		name := c.Dataset.Name
		if _, any := backup.Newest(a.Policy.Prefix, w.Snapshots[name]); !any && !c.Snapshotted() {
			plan.Items = append(plan.Items, Item{
				Name: name, Outcome: backup.NotCovered,
				Detail: "no row snapshots it, so there is nothing to copy; add one under snapshots",
			})
			continue
		}
		plan.Sources = append(plan.Sources, name)
	}
	return plan, nil
}

// ReplicateDataset brings one dataset of a replica up to date. It looks at both
// ends by GUID, does the one thing that is missing, and looks again: it may be
// cut off at any point and run again.
func (a *Pools) ReplicateDataset(ctx context.Context, p ReplicateParams) (ReplicateResult, error) {
	r, err := a.replica(p.Replica)
	if err != nil {
		return ReplicateResult{}, failure(err)
	}
	if !backup.Under(p.Dataset, r.Source) {
		return ReplicateResult{}, failure(fmt.Errorf("%s is not part of replica %s: %w", p.Dataset, r.Name, ErrNotConfigured))
	}
	s := &sending{Pools: a, replica: r, target: r.TargetOf(p.Dataset)}
	s.res = ReplicateResult{Dataset: p.Dataset, Target: s.target}
	s.progress.Store(&Progress{Dataset: p.Dataset, Kind: "looking"})
	defer beat(ctx, func() any { return s.progress.Load() })()

	// One receiver per target; prune leaves a dataset in use alone.
	unlock, err := a.Locks.Lock(ctx, s.target)
	if err != nil {
		return s.res, failure(err)
	}
	defer unlock()
	unlockSource, err := a.Locks.Lock(ctx, p.Dataset)
	if err != nil {
		return s.res, failure(err)
	}
	defer unlockSource()
	if err := s.run(ctx, p); err != nil {
		return s.res, failure(fmt.Errorf("replicate %s to %s: %w", p.Dataset, s.target, err))
	}
	logInfo(ctx, "replicated", "dataset", p.Dataset, "target", s.target, "snapshot", s.res.Snapshot,
		"guid", s.res.GUID, "kind", s.res.Kind, "bytes", s.res.Bytes)
	return s.res, nil
}

// sending is one dataset on its way.
type sending struct {
	*Pools
	replica  backup.Replica
	target   string
	res      ReplicateResult
	progress atomic.Pointer[Progress]
}

// run may go round more than once: finishing a half-received older snapshot is
// followed by the increment to the newest.
func (s *sending) run(ctx context.Context, p ReplicateParams) error {
	for range 4 {
		in, err := s.look(ctx, p.Dataset)
		if err != nil {
			return err
		}
		plan, err := backup.PlanSend(in)
		if err != nil {
			return err
		}
		if plan.Abort {
			if err := s.abort(ctx, in); err != nil {
				return err
			}
			continue
		}
		if plan.Kind == backup.SendNothing {
			if s.res.Kind == "" {
				s.res.Kind = string(plan.Kind)
			}
			return s.settle(ctx, in, p)
		}
		if err := s.send(ctx, in, plan); err != nil {
			return err
		}
		s.res.Kind = string(plan.Kind)
	}
	return errors.New("the replica does not come to rest; another program may be changing it")
}

// look sees both ends as they are now.
func (s *sending) look(ctx context.Context, source string) (backup.SendInput, error) {
	w, err := s.lookAt(ctx, backup.Policy{}, source, s.target)
	if err != nil {
		return backup.SendInput{}, err
	}
	src := w.dataset(source)
	if src == nil {
		return backup.SendInput{}, fmt.Errorf("%s: %w", source, backup.ErrNotFound)
	}
	in := backup.SendInput{
		Prefix: s.Policy.Prefix, Replica: s.replica, Source: *src, Target: w.dataset(s.target),
		Snaps: w.Snapshots[source], Marks: w.Bookmarks[source], Received: w.Snapshots[s.target],
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
	if len(in.Received) == 0 {
		mark := in.Target.Properties[backup.PropSource]
		guid, _, _ := strings.Cut(mark.Value, " ")
		if !mark.Local() || guid != in.Source.GUID.String() {
			return fmt.Errorf("%s holds the beginning of a copy that is not marked as ours; "+
				"look at it, then discard it by hand (zfs receive -A %s): %w", s.target, s.target, backup.ErrPartial)
		}
	}
	if err := s.ZFS.AbortReceive(ctx, s.target); err != nil {
		return fmt.Errorf("discard a partial receive: %w", err)
	}
	return nil
}

// send runs one stream. The bookmark comes first: from then on the chain lives,
// whatever happens to the snapshot. The hold on the source lasts for the step.
func (s *sending) send(ctx context.Context, in backup.SendInput, plan backup.SendPlan) error {
	t := backup.Transfer{
		To: plan.To, From: plan.From, FromMark: plan.FromMark, Raw: plan.Raw,
		Type: in.Source.Type, Target: s.target, NewTarget: in.Target == nil,
	}
	if plan.Kind == backup.SendResume {
		t.Token = in.Target.ResumeToken
		t.From, t.FromMark = nil, nil
	}
	if t.NewTarget {
		raw := "off"
		if plan.Raw {
			raw = "on"
		}
		t.Props = map[string]string{backup.PropSource: backup.SourceMark(in.Source), backup.PropRaw: raw}
		if err := s.ZFS.Create(ctx, path.Dir(s.target)); err != nil {
			return err
		}
	}
	if stamp, ok := backup.StampIn(s.Policy.Prefix, plan.To.Name); ok {
		if err := s.ZFS.Bookmark(ctx, plan.To, backup.BookmarkName(s.Policy.Prefix, s.replica.Name, stamp)); err != nil {
			return err
		}
	}
	tag := backup.StepTag(s.replica.Name)
	if err := s.ZFS.Hold(ctx, tag, plan.To.String()); err != nil {
		return err
	}
	total, err := s.ZFS.Estimate(ctx, t)
	if err != nil {
		return err
	}
	show := func(n int64) {
		s.progress.Store(&Progress{Dataset: in.Source.Name, Kind: string(plan.Kind), Bytes: n, Total: total})
	}
	show(0)
	err = s.ZFS.Transfer(ctx, t, show)
	// What ZFS says is not what counts: rc=0 can mean "already exists, ignored".
	// The next look decides; only a real error with nothing arrived ends the step.
	if err != nil {
		return err
	}
	s.res.Bytes += total
	return s.confirm(ctx, plan.To)
}

// confirm: success is the GUID seen on the target.
func (s *sending) confirm(ctx context.Context, to backup.Snapshot) error {
	snaps, _, err := s.ZFS.Points(ctx, s.target)
	if err != nil {
		return err
	}
	for _, x := range snaps {
		if x.Dataset == s.target && x.GUID == to.GUID {
			return nil
		}
	}
	return fmt.Errorf("the stream of %s ended well but %s does not have guid %s: %w", to, s.target, to.GUID, backup.ErrIncomplete)
}

// settle does the bookkeeping of a replica that is up to date: mark and hold the
// last received snapshot, keep one bookmark on the source, leave no hold there.
func (s *sending) settle(ctx context.Context, in backup.SendInput, p ReplicateParams) error {
	last := in.Received[len(in.Received)-1]
	for _, r := range in.Received {
		if backup.ByCreateTXG(r, last) > 0 {
			last = r
		}
	}
	s.res.Snapshot, s.res.GUID = last.String(), last.GUID
	if stamp, ok := backup.StampIn(s.Policy.Prefix, last.Name); ok {
		s.res.Stamp = stamp
		s.res.Behind = p.Stamp != "" && stamp < p.Stamp
	}
	if err := s.markReceived(ctx, in); err != nil {
		return err
	}
	if err := s.moveHold(ctx, in, last); err != nil {
		return err
	}
	return s.tidySource(ctx, in, last)
}

// markReceived marks as ours what came from this source. A plain send carries no
// snapshot properties, so the mark is set here; a crash in between is mended here
// too, for the GUID says where a snapshot came from.
func (s *sending) markReceived(ctx context.Context, in backup.SendInput) error {
	var names []string
	for _, r := range in.Received {
		_, ours := backup.StampIn(s.Policy.Prefix, r.Name)
		if ours && backup.Adoptable(r, in.Snaps, in.Marks) {
			names = append(names, r.String())
		}
	}
	facts, err := s.ZFS.Facts(ctx, names...)
	if err != nil {
		return err
	}
	for _, f := range facts {
		if f.Properties[backup.PropClass].Local() {
			continue
		}
		if err := s.ZFS.SetProperties(ctx, f.String(), map[string]string{backup.PropClass: backup.ClassPeriodic}); err != nil {
			return err
		}
	}
	if mark := in.Target.Properties[backup.PropSource]; !mark.Local() || mark.Value != backup.SourceMark(in.Source) {
		return s.ZFS.SetProperties(ctx, s.target, map[string]string{backup.PropSource: backup.SourceMark(in.Source)})
	}
	return nil
}

// moveHold puts the base's hold on the last received snapshot, then takes it off
// the older ones: never the other way round.
func (s *sending) moveHold(ctx context.Context, in backup.SendInput, last backup.Snapshot) error {
	tag := backup.HoldTag(s.replica.Name)
	if err := s.ZFS.Hold(ctx, tag, last.String()); err != nil {
		return err
	}
	var names []string
	for _, r := range in.Received {
		if r.GUID != last.GUID {
			names = append(names, r.String())
		}
	}
	held, err := s.heldBy(ctx, tag, names)
	if err != nil || len(held) == 0 {
		return err
	}
	return s.ZFS.Release(ctx, tag, held...)
}

// tidySource leaves on the source one bookmark, the base's, and no hold.
func (s *sending) tidySource(ctx context.Context, in backup.SendInput, last backup.Snapshot) error {
	for _, snap := range in.Snaps {
		if stamp, ok := backup.StampIn(s.Policy.Prefix, snap.Name); ok && snap.GUID == last.GUID {
			if err := s.ZFS.Bookmark(ctx, snap, backup.BookmarkName(s.Policy.Prefix, s.replica.Name, stamp)); err != nil {
				return err
			}
		}
	}
	// A bookmark for each received snapshot, so that the chain survives if somebody
	// destroys the replica's newest.
	var keep []backup.GUID
	for _, r := range in.Received {
		keep = append(keep, r.GUID)
	}
	for _, b := range backup.StaleBookmarks(s.Policy.Prefix, s.replica.Name, in.Marks, keep...) {
		if err := s.ZFS.DestroyBookmark(ctx, b); err != nil {
			return err
		}
	}
	return s.releaseSteps(ctx, s.replica, in.Snaps)
}
