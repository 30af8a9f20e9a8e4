package activities

import (
	"context"
	"time"

	"triplicate/internal/backup"
)

// World is what the pools hold. What it has of a pool is complete: a pool that
// could not be listed is in Failed, and nothing of it is in the rest, so that the
// coverage has its rows as missing.
type World struct {
	cover     backup.Coverage
	Snapshots map[string][]backup.Snapshot // by dataset, in createtxg order
	Bookmarks map[string][]backup.Bookmark
	// Failed is why a pool could not be listed, by its name. The other pools are
	// as good as ever.
	Failed map[string]error
	byName map[string]*backup.Dataset
}

// Coverage is every dataset with its row.
func (w World) Coverage() backup.Coverage { return w.cover }

func (w World) dataset(name string) *backup.Dataset { return w.byName[name] }

// Look lists everything the policy is about with two commands for each pool,
// whatever the number of datasets. A pool that cannot be listed is in
// World.Failed; only when none can is it an error, as of the adapter.
func (a *Pools) Look(ctx context.Context) (World, error) { return a.look(ctx) }

func (a *Pools) look(ctx context.Context) (World, error) { return a.lookWithin(ctx, patience) }

// lookWithin is look with another patience for each pool.
func (a *Pools) lookWithin(ctx context.Context, d time.Duration) (World, error) {
	all, failed, err := a.listWithin(ctx, d, true)
	if err == nil {
		err = a.allFailed(failed)
	}
	if err != nil {
		return World{}, err
	}
	w := newWorld(backup.Cover(a.Policy, all.datasets), all)
	w.Failed = failed
	return w, nil
}

// lookAt lists the roots and everything below them, and covers them by policy. One
// that cannot be listed is an error.
func (a *Pools) lookAt(ctx context.Context, policy backup.Policy, roots ...string) (World, error) {
	var all listing
	var err error
	if all.datasets, err = a.ZFS.Datasets(ctx, roots...); err != nil {
		return World{}, err
	}
	if all.snaps, all.marks, err = a.ZFS.Points(ctx, roots...); err != nil {
		return World{}, err
	}
	return newWorld(backup.Cover(policy, all.datasets), all), nil
}

func newWorld(cover backup.Coverage, all listing) World {
	w := World{
		cover:     cover,
		Snapshots: map[string][]backup.Snapshot{}, Bookmarks: map[string][]backup.Bookmark{},
		byName: map[string]*backup.Dataset{},
	}
	for i := range w.cover.Datasets {
		d := &w.cover.Datasets[i].Dataset
		if d.Properties == nil {
			d.Properties = map[string]backup.Property{}
		}
		w.byName[d.Name] = d
	}
	for _, s := range all.snaps {
		w.Snapshots[s.Dataset] = append(w.Snapshots[s.Dataset], s)
	}
	for _, b := range all.marks {
		w.Bookmarks[b.Dataset] = append(w.Bookmarks[b.Dataset], b)
	}
	return w
}

// token decodes a dataset's resume token; nil without one. backup.ErrStaleToken
// means that there is one which leads nowhere; any other error says nothing about
// the token, and what it stands for must stay.
func (a *Pools) token(ctx context.Context, d *backup.Dataset) (*backup.Token, error) {
	if d == nil || d.ResumeToken == "" {
		return nil, nil
	}
	t, err := a.ZFS.Token(ctx, d.ResumeToken)
	if err != nil {
		return nil, err
	}
	return &t, nil
}
