package activities

import (
	"context"
	"slices"

	"triplicate/internal/backup"
)

// settle does the bookkeeping of a replica that is up to date: mark and hold the
// last received snapshot, keep bookmarks on the source, leave no hold there. Where
// all is as it should be, it takes the one command that sees it.
func (s *sending) settle(ctx context.Context, in backup.SendInput, p ReplicateParams) error {
	up := backup.PlanUpkeep(in)
	s.res.Snapshot, s.res.GUID = up.Last.String(), up.Last.GUID
	if stamp, ok := backup.StampIn(s.Policy.Prefix, up.Last.Name); ok {
		s.res.Stamp = stamp
		s.res.Behind = p.Stamp != "" && stamp < p.Stamp
	}
	facts, err := s.ZFS.Facts(ctx, names(up.Look)...)
	if err != nil || up.Settled(facts) {
		return err
	}
	if up.Bookmark != nil {
		stamp, _ := backup.StampIn(s.Policy.Prefix, up.Bookmark.Name)
		if err := s.ZFS.Bookmark(ctx, *up.Bookmark, backup.BookmarkName(s.Policy.Prefix, s.replica.Name, stamp)); err != nil {
			return err
		}
	}
	if up.Remark {
		if err := s.ZFS.SetProperties(ctx, s.target, map[string]string{backup.PropSource: backup.SourceMark(in.Source)}); err != nil {
			return err
		}
	}
	if !up.LastDone(facts) {
		if err := s.finishTarget(ctx, in, up.Last); err != nil {
			return err
		}
	}
	return s.tidySource(ctx, up, facts)
}

func names(snaps []backup.Snapshot) []string {
	list := make([]string, len(snaps))
	for i, x := range snaps {
		list[i] = x.String()
	}
	return list
}

// finishTarget puts the base's hold on the last received snapshot, then takes it
// off the older ones, never the other way round, and then marks as ours what came
// from this source: the last one at the end, for its mark says that all is done.
//
// A plain send carries no snapshot properties, so the marks are set here; a crash
// in between is mended here too, for the GUID says where a snapshot came from.
func (s *sending) finishTarget(ctx context.Context, in backup.SendInput, last backup.Snapshot) error {
	tag := backup.HoldTag(s.replica.Name)
	if err := s.ZFS.Hold(ctx, tag, last.String()); err != nil {
		return err
	}
	facts, err := s.ZFS.Facts(ctx, names(in.Received)...)
	if err != nil {
		return err
	}
	slices.SortFunc(facts, func(a, b backup.SnapshotFacts) int { return backup.ByCreateTXG(a.Snapshot, b.Snapshot) })
	var held []string
	for _, f := range facts {
		if f.GUID != last.GUID && f.UserRefs > 0 || f.UserRefs > 1 {
			held = append(held, f.String())
		}
	}
	holds, err := s.ZFS.Holds(ctx, held...)
	if err != nil {
		return err
	}
	for _, h := range holds {
		// A target has one replica: another's tag is that of an earlier name.
		if !backup.IsHoldTag(h.Tag) || h.Tag == tag && h.Snapshot == last.String() {
			continue
		}
		if err := s.ZFS.Release(ctx, h.Tag, h.Snapshot); err != nil {
			return err
		}
	}
	for _, f := range facts {
		_, ours := backup.StampIn(s.Policy.Prefix, f.Name)
		if !ours || f.Properties[backup.PropClass].Local() || !backup.Adoptable(f.Snapshot, in.Snaps, in.Marks) {
			continue
		}
		if err := s.ZFS.SetProperties(ctx, f.String(), map[string]string{backup.PropClass: backup.ClassPeriodic}); err != nil {
			return err
		}
	}
	return nil
}

// tidySource leaves no hold of this replica on the source, and no bookmark that it
// does not need. The bookmarks go last: they say where to look for holds.
func (s *sending) tidySource(ctx context.Context, up backup.Upkeep, facts []backup.SnapshotFacts) error {
	own := backup.StepTag(s.replica.Name) // another replica may be sending just now
	if err := s.release(ctx, up.Held(facts), func(tag string) bool { return tag == own }); err != nil {
		return err
	}
	for _, b := range up.Stale {
		if err := s.ZFS.DestroyBookmark(ctx, b); err != nil {
			return err
		}
	}
	return nil
}
