package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"triplicate/internal/backup"
)

// patience bounds the listing of one pool when all are listed. A hung pool must
// not cost the others their snapshots' stamp, so it is less than
// backup.StampTolerance; 5000 snapshots list in seconds.
const patience = 3 * time.Minute

var errNoAnswer = errors.New("the pool may be hung")

// noAnswer is the cause of a listing's end after so long.
func noAnswer(d time.Duration) error { return fmt.Errorf("no answer within %s; %w", d, errNoAnswer) }

// listing is what pools hold.
type listing struct {
	datasets []backup.Dataset // by name
	snaps    []backup.Snapshot
	marks    []backup.Bookmark
}

// listPools lists each pool of the policy by itself, side by side: a zfs command
// over two pools fails as a whole when one of them is suspended, and hangs with
// the one that hangs. failed says why a pool is not in the listing; of the others
// it has everything. A pool that is not imported is in neither. Snapshots and
// bookmarks are read only where points says so.
func (a *Pools) listPools(ctx context.Context, points bool) (all listing, failed map[string]error, err error) {
	return a.listWithin(ctx, patience, points)
}

// listWithin is listPools with another patience for each pool.
func (a *Pools) listWithin(ctx context.Context, d time.Duration, points bool) (all listing, failed map[string]error, err error) {
	pools := a.roots()
	found, errs := make([]listing, len(pools)), make([]error, len(pools))
	var wg sync.WaitGroup
	for i, pool := range pools {
		wg.Go(func() { found[i], errs[i] = a.listPool(ctx, d, pool, points) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return listing{}, nil, ctx.Err()
	}
	failed = map[string]error{}
	for i, l := range found {
		if errs[i] != nil {
			failed[pools[i]] = errs[i]
			continue
		}
		all.datasets = append(all.datasets, l.datasets...)
		all.snaps = append(all.snaps, l.snaps...)
		all.marks = append(all.marks, l.marks...)
	}
	slices.SortFunc(all.datasets, func(x, y backup.Dataset) int { return strings.Compare(x.Name, y.Name) })
	return all, failed, nil
}

// listPool is one pool's part, all of it or an error.
func (a *Pools) listPool(ctx context.Context, d time.Duration, pool string, points bool) (l listing, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d, noAnswer(d))
	defer cancel()
	if l.datasets, err = a.ZFS.Datasets(ctx, pool); err != nil || !points {
		return l, err
	}
	l.snaps, l.marks, err = a.ZFS.Points(ctx, pool)
	return l, err
}

// allFailed is an error when no pool of the policy could be listed.
func (a *Pools) allFailed(failed map[string]error) error {
	pools := a.roots()
	if len(failed) < len(pools) {
		return nil
	}
	var all []error
	for _, p := range pools {
		all = append(all, failed[p])
	}
	return errors.Join(all...)
}

// seen says whether a pool is imported and was listed.
func seen(datasets []backup.Dataset, pool string) bool {
	return slices.ContainsFunc(datasets, func(d backup.Dataset) bool { return d.Name == pool })
}

// whyAbsent says in words why a dataset of the config is not in a listing.
func whyAbsent(name string, all listing, failed map[string]error) string {
	pool := backup.PoolOf(name)
	switch {
	case failed[pool] != nil:
		return fmt.Sprintf("pool %s cannot be listed: %v", pool, failed[pool])
	case !seen(all.datasets, pool):
		return fmt.Sprintf("pool %s is not imported (zpool import)", pool)
	}
	return "it is in the config but not on this machine"
}
