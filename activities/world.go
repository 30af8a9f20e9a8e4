package activities

import (
	"context"

	"triplicate/internal/backup"
)

// World is what the pools hold, from one listing of datasets and one of points.
type World struct {
	cover     backup.Coverage
	Snapshots map[string][]backup.Snapshot // by dataset, in createtxg order
	Bookmarks map[string][]backup.Bookmark
	byName    map[string]*backup.Dataset
}

// Coverage is every dataset with its row.
func (w World) Coverage() backup.Coverage { return w.cover }

func (w World) dataset(name string) *backup.Dataset { return w.byName[name] }

// Look lists everything the policy is about with two commands, whatever the
// number of datasets. Errors are as of the adapter.
func (a *Pools) Look(ctx context.Context) (World, error) { return a.look(ctx) }

func (a *Pools) look(ctx context.Context) (World, error) {
	return a.lookAt(ctx, a.Policy, a.roots()...)
}

// lookAt lists the roots and everything below them, and covers them by policy.
func (a *Pools) lookAt(ctx context.Context, policy backup.Policy, roots ...string) (World, error) {
	datasets, err := a.ZFS.Datasets(ctx, roots...)
	if err != nil {
		return World{}, err
	}
	snaps, marks, err := a.ZFS.Points(ctx, roots...)
	if err != nil {
		return World{}, err
	}
	w := World{
		cover:     backup.Cover(policy, datasets),
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
	for _, s := range snaps {
		w.Snapshots[s.Dataset] = append(w.Snapshots[s.Dataset], s)
	}
	for _, b := range marks {
		w.Bookmarks[b.Dataset] = append(w.Bookmarks[b.Dataset], b)
	}
	return w, nil
}

// token decodes a dataset's resume token; nil without one. stale says that there
// is one which leads nowhere.
func (a *Pools) token(ctx context.Context, d *backup.Dataset) (token *backup.Token, stale bool) {
	if d == nil || d.ResumeToken == "" {
		return nil, false
	}
	t, err := a.ZFS.Token(ctx, d.ResumeToken)
	if err != nil {
		return nil, true
	}
	return &t, false
}
