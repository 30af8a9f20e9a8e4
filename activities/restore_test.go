package activities_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

func TestRestoreFromAllThreePlaces(t *testing.T) {
	a := newAway(t)
	a.host.WriteFile("nvme/personal", "diary", "dear diary")
	a.night("nvme/personal")
	_, err := a.Pools.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "personal", Dataset: "nvme/personal"})
	must(t, err)
	if res := a.allowed("hdd/backups-data/personal"); res.Outcome != backup.OK {
		t.Fatalf("offsite: %+v", res)
	}
	restore := func(from backup.Where, to string) (activities.Restored, error) {
		return a.Restore(context.Background(), activities.RestoreParams{Path: "/nvme/personal/diary", From: from, To: to, Tier: backup.Standard, Days: 1})
	}
	for _, from := range []backup.Where{backup.FromSnapshot, backup.FromReplica, "aws"} {
		t.Run(string(from), func(t *testing.T) {
			dir := t.TempDir()
			res, err := restore(from, dir)
			must(t, err)
			if from == "aws" {
				if !res.Thawing {
					t.Fatalf("%+v: want it to be thawed first", res)
				}
				if left, _ := os.ReadDir(dir); len(left) != 0 {
					t.Errorf("a thaw left %v", left)
				}
				a.now = a.now.Add(6 * time.Hour)
				res, err = restore(from, dir)
				must(t, err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "diary"))
			if err != nil || string(got) != "dear diary" || res.File != filepath.Join(dir, "diary") {
				t.Errorf("%+v: %q, %v", res, got, err)
			}
			if _, err := restore(from, dir); !errors.Is(err, backup.ErrExists) {
				t.Errorf("a second restore: %v, want that it exists", err)
			}
			if _, err := restore(from, filepath.Join(dir, "other")); err != nil {
				t.Errorf("under another name: %v", err)
			}
		})
	}
}

// noZFS is a machine that has none.
type noZFS struct{ *zfstest.Host }

var errNoZFS = errors.New("zfs: executable file not found")

func (noZFS) Datasets(context.Context, ...string) ([]backup.Dataset, error) { return nil, errNoZFS }

// TestRestoreWithoutAnyPool: the server is gone, and what is left is a config, a key
// and a machine without ZFS. The bucket is enough.
func TestRestoreWithoutAnyPool(t *testing.T) {
	a := newAway(t)
	a.host.MkDataset("nvme/personal/photos")
	a.host.WriteFile("nvme/personal/photos", "1.jpg", "a photo")
	a.night("nvme/personal", "nvme/personal/photos")
	for _, d := range []string{"nvme/personal", "nvme/personal/photos"} {
		_, err := a.Pools.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "personal", Dataset: d})
		must(t, err)
	}
	if res := a.allowed("hdd/backups-data/personal/photos"); res.Outcome != backup.OK {
		t.Fatalf("offsite: %+v", res)
	}
	a.Pools.ZFS = noZFS{a.host}
	for _, path := range []string{"nvme/personal/photos/1.jpg", "hdd/backups-data/personal/photos/1.jpg"} {
		p := activities.RestoreParams{Path: path, From: "aws", To: t.TempDir(), Tier: backup.Standard, Days: 1}
		res, err := a.Restore(t.Context(), p)
		if err == nil && res.Thawing {
			a.now = a.now.Add(6 * time.Hour)
			res, err = a.Restore(t.Context(), p)
		}
		must(t, err)
		if got, err := os.ReadFile(res.File); err != nil || string(got) != "a photo" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		p.From = backup.FromReplica
		if _, err := a.Restore(t.Context(), p); !errors.Is(err, errNoZFS) {
			t.Errorf("%s from a replica on a pool that is not there: %v", path, err)
		}
	}
	// Without either, it is the bucket's error that counts: paths are known from nowhere.
	a.server.SetKeys()
	p := activities.RestoreParams{Path: "hdd/attic/x", From: "aws", To: t.TempDir(), Tier: backup.Standard, Days: 1}
	if _, err := a.Restore(t.Context(), p); !errors.Is(err, backup.ErrCredentials) {
		t.Errorf("with a key that is no longer one: %v", err)
	}
}

// TestRestoreEscapesNowhere: neither the path nor a symlink in the source or in the
// target's folder leads a restored file elsewhere.
func TestRestoreEscapesNowhere(t *testing.T) {
	a := newAway(t)
	a.host.WriteFile("nvme/personal", "diary", "x")
	a.night("nvme/personal")
	outside := t.TempDir()
	dir := t.TempDir()
	must(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "diary")))
	for name, p := range map[string]activities.RestoreParams{
		"a path with ..":             {Path: "nvme/personal/../../etc/passwd", To: t.TempDir()},
		"a whole dataset":            {Path: "nvme/personal", To: t.TempDir()},
		"a dataset nobody knows":     {Path: "tank/x", To: t.TempDir()},
		"a symlink under the name":   {Path: "nvme/personal/diary", To: dir},
		"a folder that is not there": {Path: "nvme/personal/diary", To: filepath.Join(dir, "no", "where")},
		"no target":                  {Path: "nvme/personal/diary"},
	} {
		p.From = backup.FromSnapshot
		if res, err := a.Restore(t.Context(), p); err == nil {
			t.Errorf("%s: restored to %s", name, res.File)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("written outside: %v", left)
	}
}
