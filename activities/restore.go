package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// RestoreParams names one file and where it is to come from and go to.
type RestoreParams struct {
	Path string       // dataset/path
	From backup.Where // snapshot, replica, or an offsite target's name
	At   backup.Stamp // the newest point not after it; empty: the newest
	To   string       // an existing folder, or the path of a file that does not exist
	Tier backup.Tier  // of a thaw, should one be needed
	Days int          // for which a thawed copy stays
}

// Restored says what came back.
type Restored struct {
	File    string        `json:"file"` // that was written
	Bytes   int64         `json:"bytes"`
	Source  string        `json:"source"`            // dataset@snapshot, or target and manifest
	Thawing bool          `json:"thawing,omitempty"` // asked for; nothing was written yet
	Wait    time.Duration `json:"waitNs,omitempty"`  // how long a thaw of this tier takes at most
}

// Restore brings one file back. It works with the daemon dead: it looks at the
// pools and the bucket itself. The file appears under its name only when it is
// whole; a path never leads out of the source or of the target's folder.
func (a *Copies) Restore(ctx context.Context, p RestoreParams) (Restored, error) {
	to, err := openTarget(p)
	if err != nil {
		return Restored{}, err
	}
	defer to.close()
	w, err := a.Pools.look(ctx)
	if err != nil && (p.From == backup.FromSnapshot || p.From == backup.FromReplica) {
		return Restored{}, fmt.Errorf("look at the pools: %w", err)
	}
	// A bucket needs no pool: on the day the server is gone, any machine will do.
	names, unseen := a.knownDatasets(ctx, w, p.From)
	if err != nil && unseen != nil {
		return Restored{}, unseen // nothing else says what there is
	}
	dataset, rel, err := backup.SplitPath(p.Path, names)
	if err != nil {
		return Restored{}, err
	}
	switch p.From {
	case backup.FromSnapshot:
		return a.fromPool(ctx, w, dataset, rel, p, to)
	case backup.FromReplica:
		targets := a.Pools.replicasOf(dataset)
		if len(targets) == 0 {
			return Restored{}, fmt.Errorf("%s has no replica in the config: %w", dataset, ErrNotConfigured)
		}
		return a.fromPool(ctx, w, freshest(a.Pools.Policy.Prefix, w, targets, p.At), rel, p, to)
	}
	return a.fromVault(ctx, dataset, rel, p, to)
}

// knownDatasets are all datasets that a path may be in: those of the pools, the
// sources of replicas, which may be gone, and what the target holds. unseen is why the
// target cannot be looked at.
func (a *Copies) knownDatasets(ctx context.Context, w World, from backup.Where) (names []string, unseen error) {
	for _, c := range w.cover.Datasets {
		names = append(names, c.Dataset.Name)
		if c.Replica != nil {
			names = append(names, c.Replica.SourceOf(c.Dataset.Name))
		}
	}
	for _, r := range a.Pools.Policy.Rows {
		names = append(names, r.Dataset)
	}
	if a.Offsite == nil || from == backup.FromSnapshot || from == backup.FromReplica {
		return names, nil
	}
	vault, err := a.Offsite.Vault(string(from))
	if err != nil {
		return names, err
	}
	points, err := vault.Points(ctx)
	for _, p := range points {
		names = append(names, p.Dataset)
		for _, r := range a.Pools.Policy.Replicas {
			if backup.Under(p.Dataset, r.Target) {
				names = append(names, r.SourceOf(p.Dataset))
			}
		}
	}
	return names, err
}

// fromPool copies the file out of a snapshot, which is mounted for it: an unmounted
// replica has no .zfs.
func (a *Copies) fromPool(ctx context.Context, w World, dataset, rel string, p RestoreParams, to *target) (_ Restored, err error) {
	if err := w.Failed[backup.PoolOf(dataset)]; err != nil {
		return Restored{}, err
	}
	snap, ok := backup.PointAt(a.Pools.Policy.Prefix, w.Snapshots[dataset], p.At)
	if !ok {
		return Restored{}, fmt.Errorf("%s has no snapshot of ours at or before %q: %w", dataset, p.At, backup.ErrNotFound)
	}
	dir, unmount, err := a.Pools.ZFS.MountSnapshot(ctx, snap)
	if err != nil {
		return Restored{}, err
	}
	defer func() {
		if e := unmount(); err == nil {
			err = e
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return Restored{}, fmt.Errorf("%s is not in %s: %w", rel, snap, backup.ErrNotFound)
	}
	if err != nil {
		return Restored{}, err
	}
	res := Restored{Source: snap.String(), Bytes: info.Size()}
	e := entryOf(info)
	switch e.Type {
	case backup.Symlink:
		if e.Target, err = root.Readlink(rel); err != nil {
			return res, err
		}
		res.File, err = to.symlink(e, path.Base(rel))
		return res, err
	case backup.File:
		f, err := root.Open(rel)
		if err != nil {
			return res, err
		}
		defer f.Close()
		res.File, err = to.write(e, path.Base(rel), func(out io.Writer) error {
			_, err := io.Copy(out, f)
			return err
		})
		return res, err
	}
	return res, fmt.Errorf("%s is %s; this version restores one file at a time", rel, kindOf(info))
}

// freshest is the replica with the newest point not after at.
func freshest(prefix string, w World, targets []string, at backup.Stamp) string {
	return slices.MaxFunc(targets, func(a, b string) int {
		x, _ := backup.PointAt(prefix, w.Snapshots[a], at)
		y, _ := backup.PointAt(prefix, w.Snapshots[b], at)
		return strings.Compare(x.Name, y.Name)
	})
}

// thawTimes are how long a thaw takes at most, by AWS's word for Glacier Flexible
// Retrieval ("Archive retrieval options", S3 user guide).
var thawTimes = map[backup.Tier]time.Duration{
	backup.Bulk: 12 * time.Hour, backup.Standard: 5 * time.Hour, backup.Expedited: 5 * time.Minute,
}

// fromVault fetches the file from an offsite target, and asks for a thaw where it
// is archived. Where a dataset of another pool is wanted, its replica is what the
// target has.
func (a *Copies) fromVault(ctx context.Context, dataset, rel string, p RestoreParams, to *target) (Restored, error) {
	if a.Offsite == nil || !slices.ContainsFunc(a.Pools.Policy.Offsite, func(o backup.OffsitePolicy) bool { return o.Name == string(p.From) }) {
		return Restored{}, fmt.Errorf("no offsite target %q: %w", p.From, ErrNotConfigured)
	}
	o, _ := a.Offsite.target(string(p.From))
	if backup.PoolOf(dataset) != o.Pool {
		i := slices.IndexFunc(a.Pools.replicasOf(dataset), func(t string) bool { return backup.PoolOf(t) == o.Pool })
		if i < 0 {
			return Restored{}, fmt.Errorf("%s is neither on pool %s nor copied to it: %w", p.Path, o.Pool, ErrNotConfigured)
		}
		dataset = a.Pools.replicasOf(dataset)[i]
	}
	vault, err := a.Offsite.Vault(o.Name)
	if err != nil {
		return Restored{}, err
	}
	e, header, err := vault.Find(ctx, dataset, rel, p.At)
	if err != nil {
		return Restored{}, err
	}
	res := Restored{Source: fmt.Sprintf("%s: %s@%s", o.Name, dataset, header.Snapshot), Bytes: e.Size}
	switch e.Type {
	case backup.Symlink:
		res.File, err = to.symlink(e, path.Base(rel))
		return res, err
	case backup.File:
	default:
		return res, fmt.Errorf("%s is not a file; this version restores one file at a time", rel)
	}
	res.File, err = to.write(e, path.Base(rel), func(out io.Writer) error { return vault.Fetch(ctx, dataset, e, out) })
	if !errors.Is(err, backup.ErrArchived) {
		return res, err
	}
	state, err := vault.Thaw(ctx, dataset, e, p.Tier, p.Days)
	if err != nil {
		return res, err
	}
	res.Thawing, res.Wait = state.Until.IsZero(), thawTimes[p.Tier]
	if !res.Thawing { // it became ready in between
		res.File, err = to.write(e, path.Base(rel), func(out io.Writer) error { return vault.Fetch(ctx, dataset, e, out) })
	}
	return res, err
}

func kindOf(info fs.FileInfo) string {
	if info.IsDir() {
		return "a folder"
	}
	return "neither a file nor a symlink (" + info.Mode().Type().String() + ")"
}
