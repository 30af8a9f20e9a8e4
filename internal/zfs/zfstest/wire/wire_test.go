package wire_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
	"triplicate/internal/zfs/zfstest/wire"
)

// far is the fake under contract, asked over a socket.
type far struct {
	*zfstest.Host
	client *wire.Client
}

func (s far) ZFS() activities.ZFS { return s.client }

func (s far) Source(name string) string { return join("nvme/t", name) }

func (s far) Target(name string) string { return join("hdd/t", name) }

func join(dir, name string) string {
	if name == "" {
		return dir
	}
	return dir + "/" + name
}

func (s far) CutReceive(snap backup.Snapshot, target string, props map[string]string) {
	s.CutAfter(40_000)
	_ = s.client.Transfer(context.Background(), backup.Transfer{
		To: snap, Type: backup.Filesystem, Target: target, NewTarget: true, Props: props,
	}, nil)
}

func TestContractOverASocket(t *testing.T) {
	zfstest.Contract(t, func(t *testing.T) zfstest.Scene {
		h := zfstest.New(t, "nvme", "hdd")
		h.MkDataset("nvme/t")
		socket := filepath.Join(t.TempDir(), "zfs")
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = wire.Serve(t.Context(), l, h) }()
		return far{h, &wire.Client{Socket: socket}}
	})
}
