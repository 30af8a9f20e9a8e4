package zfstest_test

import (
	"context"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// scene is the fake under contract.
type scene struct{ *zfstest.Host }

func (s scene) ZFS() activities.ZFS { return s.Host }

func (s scene) Source(name string) string { return join("nvme/t", name) }

func (s scene) Target(name string) string { return join("hdd/t", name) }

func join(dir, name string) string {
	if name == "" {
		return dir
	}
	return dir + "/" + name
}

func (s scene) CutReceive(snap backup.Snapshot, target string, props map[string]string) {
	s.CutAfter(40_000)
	_ = s.Transfer(context.Background(), backup.Transfer{
		To: snap, Type: backup.Filesystem, Target: target, NewTarget: true, Props: props,
	}, nil)
}

func TestContract(t *testing.T) {
	zfstest.Contract(t, func(t *testing.T) zfstest.Scene {
		h := zfstest.New(t, "nvme", "hdd")
		h.MkDataset("nvme/t")
		return scene{h}
	})
}
