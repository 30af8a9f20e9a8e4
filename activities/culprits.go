package activities

import (
	"context"
	"errors"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// maxSnapshotCommands bounds the commands of one set. Halving finds two culprits
// among 500 with fewer.
const maxSnapshotCommands = 40

// take takes names with one command. ZFS takes all or none, so a dataset that it
// refuses, say a half received volume, would cost all others their snapshot: they
// are taken without it. Where ZFS names who is to blame it is one command still;
// where not, the set is halved, and each half is one.
func (t *taking) take(ctx context.Context, names []string) error {
	for len(names) > 0 {
		if t.commands == maxSnapshotCommands {
			for _, n := range names {
				t.fail(datasetOf(n), "not tried: zfs refuses too many others of the pool without saying why")
			}
			return nil
		}
		t.commands++
		err := t.ZFS.TakeSnapshots(ctx, names, map[string]string{
			backup.PropClass: backup.ClassPeriodic, backup.PropRun: t.params.Run,
		})
		if err == nil {
			t.sets++
			t.taken += len(names)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, backup.ErrExists) || errors.Is(err, backup.ErrNotFound) {
			return err
		}
		named := culprits(err.Error(), names)
		switch {
		case len(named) > 0:
			names = slices.DeleteFunc(names, func(n string) bool { return named[n] != "" })
			for n, why := range named {
				t.fail(datasetOf(n), why)
			}
			slices.SortFunc(t.items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
		case !halvable(err):
			return err
		case len(names) == 1:
			t.fail(datasetOf(names[0]), err.Error())
			return nil
		default:
			half := len(names) / 2
			if err := t.take(ctx, slices.Clone(names[:half])); err != nil {
				return err
			}
			names = names[half:]
		}
	}
	return nil
}

// refusal is how libzfs begins each of its reasons: "cannot create snapshot 'a@b':
// dataset is busy", or "cannot create snapshots : out of space" when it is the
// pool (zfs_snapshot_nvl in libzfs_dataset.c).
const refusal = "cannot create snapshot"

// culprits are the snapshots that ZFS would not take, with its reason. A limit of
// a dataset (snapshot_limit) is told by the dataset's name, and stands for
// everything below.
func culprits(said string, names []string) map[string]string {
	named := map[string]string{}
	for _, part := range strings.Split(said, refusal+" '")[1:] {
		who, why, ok := strings.Cut(part, "'")
		if !ok {
			continue
		}
		why, _, _ = strings.Cut(why, refusal)
		why, _, _ = strings.Cut(why, "no snapshots were created")
		for _, n := range names {
			if n == who || !strings.Contains(who, "@") && backup.Under(datasetOf(n), who) {
				named[n] = short("zfs does not take it" + strings.TrimRight(why, " \n"))
			}
		}
	}
	return named
}

// halvable says whether ZFS refused because of one it did not name. A pool that is
// full, read-only or suspended refuses any of them, and where it was not ZFS that
// spoke, a killed command say, more commands only take more time.
func halvable(err error) bool {
	for _, pool := range []error{backup.ErrNoSpace, backup.ErrReadOnlyPool, backup.ErrSuspended, backup.ErrPermission} {
		if errors.Is(err, pool) {
			return false
		}
	}
	return errors.Is(err, backup.ErrBusy) || strings.Contains(err.Error(), refusal)
}

func datasetOf(snapshot string) string {
	dataset, _, _ := strings.Cut(snapshot, "@")
	return dataset
}
