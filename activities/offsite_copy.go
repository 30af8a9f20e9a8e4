package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"triplicate/internal/backup"
)

// copying is one dataset on its way to a target.
type copying struct {
	*Offsite
	target   backup.OffsitePolicy
	params   CopyOffsiteParams
	res      CopyOffsiteResult
	partial  bool // some files could not be read
	progress atomic.Pointer[OffsiteProgress]
}

func (c *copying) show(kind string, bytes, total int64, objects int) {
	c.progress.Store(&OffsiteProgress{Dataset: c.params.Dataset, Kind: kind, Bytes: bytes, Total: total, Objects: objects})
}

// source is the dataset as it is now.
type source struct {
	backup.Covered
	snaps []backup.Snapshot
	marks []backup.Bookmark
	way   backup.OffsiteWay
}

func (c *copying) tag() string { return backup.OffsiteTag(c.target.Name) }

// run may go round twice: what an earlier run had begun to upload is finished
// first, then comes the newest point.
func (c *copying) run(ctx context.Context) error {
	for range 3 {
		src, err := c.look(ctx)
		if err != nil {
			return err
		}
		if src.way == backup.WayNone {
			return nil
		}
		begun, err := c.begun(ctx, src)
		if err != nil {
			return err
		}
		snap, err := c.point(ctx, src, begun)
		if err != nil || snap.GUID == 0 {
			return err
		}
		if err := c.copy(ctx, src, snap); err != nil {
			return err
		}
		if c.res.Outcome == backup.NeedsApproval || begun == nil {
			return nil
		}
	}
	return nil
}

func (c *copying) look(ctx context.Context) (source, error) {
	w, err := c.lookAt(ctx, c.Policy, c.params.Dataset)
	if err != nil {
		return source{}, err
	}
	for _, d := range w.cover.Datasets {
		if d.Dataset.Name != c.params.Dataset {
			continue
		}
		s := source{Covered: d, snaps: w.Snapshots[c.params.Dataset], marks: w.Bookmarks[c.params.Dataset]}
		var reason string
		var outcome backup.Outcome
		if s.way, outcome, reason = backup.OffsiteOf(d); s.way == backup.WayNone {
			c.res.Outcome, c.res.Detail = outcome, reason
		}
		if format := backup.TargetValue(d.Dataset.Properties[backup.PropOffsite], c.target.Name); format != "" && format != backup.FormatFiles {
			s.way = backup.WayNone
			c.res.Outcome = backup.NotCovered
			c.res.Detail = fmt.Sprintf("it was first copied as %s; this version writes files only, and a copy never changes its format", format)
		}
		return s, nil
	}
	return source{}, fmt.Errorf("%s: %w", c.params.Dataset, backup.ErrNotFound)
}

// begun is the snapshot that an earlier try was uploading: the one with our hold.
func (c *copying) begun(ctx context.Context, src source) (*backup.Snapshot, error) {
	names := make([]string, len(src.snaps))
	for i, s := range src.snaps {
		names[i] = s.String()
	}
	held, err := c.heldBy(ctx, c.tag(), names)
	if err != nil {
		return nil, err
	}
	for i, s := range src.snaps {
		if slices.Contains(held, s.String()) {
			return &src.snaps[i], nil
		}
	}
	return nil, nil
}

// point is the snapshot to copy: the one begun, the newest of the row, or one that
// is taken now. A zero one means that there is none, which is said.
func (c *copying) point(ctx context.Context, src source, begun *backup.Snapshot) (backup.Snapshot, error) {
	if begun != nil {
		return *begun, nil
	}
	if src.way == backup.WayOwn {
		newest, ok := backup.Newest(c.Policy.Prefix, src.snaps)
		if !ok {
			c.res.Outcome, c.res.Detail = backup.Warning, "it has no snapshot to copy yet"
		}
		return newest, nil
	}
	name := backup.OffsiteName(c.Policy.Prefix, c.target.Name, c.params.Stamp)
	find := func(snaps []backup.Snapshot) (backup.Snapshot, bool) {
		i := slices.IndexFunc(snaps, func(s backup.Snapshot) bool { return s.Dataset == c.params.Dataset && s.Name == name })
		if i < 0 {
			return backup.Snapshot{}, false
		}
		return snaps[i], true
	}
	if s, ok := find(src.snaps); ok {
		return s, nil
	}
	err := c.ZFS.TakeSnapshots(ctx, []string{c.params.Dataset + "@" + name}, map[string]string{
		backup.PropClass: backup.ClassOffsite, backup.PropRun: c.params.Run,
	})
	if err != nil && !errors.Is(err, backup.ErrExists) {
		return backup.Snapshot{}, err
	}
	snaps, _, err := c.ZFS.Points(ctx, c.params.Dataset)
	if err != nil {
		return backup.Snapshot{}, err
	}
	s, ok := find(snaps)
	if !ok {
		return s, fmt.Errorf("%s@%s was taken and is not there: %w", c.params.Dataset, name, backup.ErrNotFound)
	}
	return s, nil
}

// copy brings the target up to one snapshot.
func (c *copying) copy(ctx context.Context, src source, snap backup.Snapshot) error {
	committed, ok := backup.Committed(c.Policy.Prefix, c.target.Name, src.marks)
	if ok {
		unchanged := committed.GUID == snap.GUID
		if !unchanged {
			written, err := c.ZFS.Written(ctx, snap, "#"+committed.Name)
			if err != nil {
				return err
			}
			unchanged = written == 0
		}
		if unchanged {
			c.res.Detail = "unchanged since " + committed.Name
			return c.settle(ctx, src, snap)
		}
	}
	if err := c.ZFS.Hold(ctx, c.tag(), snap.String()); err != nil {
		return err
	}
	done, err := c.upload(ctx, src, snap)
	if err != nil || !done {
		return err
	}
	if c.partial {
		// Without a bookmark the next run compares again, and tries those files again.
		return c.settle(ctx, src, snap)
	}
	stamp := c.stampOf(snap)
	if err := c.ZFS.Bookmark(ctx, snap, backup.OffsiteName(c.Policy.Prefix, c.target.Name, stamp)); err != nil {
		return err
	}
	// The bookmark is new: look again, so that the one before it goes.
	_, marks, err := c.ZFS.Points(ctx, c.params.Dataset)
	if err != nil {
		return err
	}
	src.marks = slices.DeleteFunc(marks, func(b backup.Bookmark) bool { return b.Dataset != c.params.Dataset })
	return c.settle(ctx, src, snap)
}

// upload mounts the snapshot, compares, asks the guard, and commits. done is false
// when the guard held it back.
func (c *copying) upload(ctx context.Context, src source, snap backup.Snapshot) (done bool, err error) {
	vault, err := c.Vault(c.target.Name)
	if err != nil {
		return false, err
	}
	dir, unmount, err := c.ZFS.MountSnapshot(ctx, snap)
	if err != nil {
		return false, err
	}
	defer func() {
		if e := unmount(); err == nil {
			err = e
		}
	}()
	job := backup.OffsiteJob{Dataset: src.Dataset, Snapshot: snap, Stamp: c.stampOf(snap), Dir: dir}
	c.show("comparing", 0, src.Dataset.Referenced, 0)
	survey, err := vault.Survey(ctx, job)
	if err != nil {
		return false, fmt.Errorf("compare with the copy: %w", err)
	}
	if reason := c.guard(src, survey); reason != "" {
		c.res.Outcome, c.res.Detail = backup.NeedsApproval, reason+"; allow it with: triplicate ack offsite "+c.params.Dataset
		return false, c.hold(ctx, src, snap, survey)
	}
	change := survey.Change
	c.show("uploading", 0, change.UploadBytes, 0)
	done2, err := vault.Commit(ctx, job, survey, func(bytes int64, objects int) {
		c.show("uploading", bytes, change.UploadBytes, objects)
	})
	if err != nil {
		return false, fmt.Errorf("upload: %w", err)
	}
	c.res.Objects += done2.Objects
	c.res.Bytes += done2.Bytes
	c.res.USD += change.UploadUSD()
	c.res.Manifest = done2.Manifest
	c.res.Detail = fmt.Sprintf("%d objects, %s", c.res.Objects, backup.Bytes(c.res.Bytes))
	c.remark(survey, done2)
	return true, c.allowed(ctx, src)
}

// remark says what of the dataset is not in the copy.
func (c *copying) remark(s backup.Survey, r backup.OffsiteResult) {
	if n := r.FailedCount; n > 0 && len(r.Failed) > 0 {
		c.partial = true
		c.res.Outcome = backup.Warning
		c.res.Detail += fmt.Sprintf("; %d files could not be read, such as %q; their older copy stays", n, r.Failed[0])
	}
	if n := s.Counts.Specials; n > 0 {
		c.res.Detail += fmt.Sprintf("; %d sockets, pipes or devices have nothing to copy", n)
	}
}

func (c *copying) guard(src source, s backup.Survey) string {
	return backup.GuardOffsite(backup.GuardInput{
		Dataset: src.Dataset, Before: s.Before, Change: s.Change,
		SpentUSD: c.params.SpentUSD + c.res.USD, CapUSD: c.target.CapUSD,
		Approved: backup.ParseApproval(backup.TargetValue(src.Dataset.Properties[backup.PropAck], c.target.Name)),
	})
}

// stampOf is the stamp in a snapshot's name.
func (c *copying) stampOf(s backup.Snapshot) backup.Stamp {
	if stamp, ok := backup.StampIn(c.Policy.Prefix, s.Name); ok {
		return stamp
	}
	if stamp, ok := backup.OffsiteStamp(c.Policy.Prefix, c.target.Name, s.Name); ok {
		return stamp
	}
	return c.params.Stamp
}
