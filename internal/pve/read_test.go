package pve_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pve/pvetest"
)

func TestCluster(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) {
		cfg.Storages = []pvetest.Storage{
			{Name: "pbs-smith", Type: "pbs", Datastore: "backups-vm", Namespace: "home", Prune: "keep-daily=3", Down: []string{"brown"}},
			{Name: "old", Type: "pbs", Disabled: true},
		}
		cfg.Jobs = []pvetest.Job{{ID: "backup-1", Storage: "pbs-smith"}, {ID: "backup-2", Storage: "pbs-smith", Disabled: true}, {ID: "backup-3", Storage: "nfs"}}
	})
	want := backup.Cluster{
		Version: "9.2.3", Name: "triplicate", Quorate: true, Jobs: []string{"backup-1"},
		Storage: backup.StorageEntry{Name: "pbs-smith", Type: "pbs", Datastore: "backups-vm", Namespace: "home", Prune: "keep-daily=3", Enabled: true, Down: []string{"brown"}},
	}
	got, err := s.cluster(t)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v; cluster (-want +got):\n%s", err, diff)
	}
	s.SetQuorate(false)
	if got, err = s.cluster(t); err != nil || got.Quorate {
		t.Errorf("quorate %v, error %v without quorum", got.Quorate, err)
	}
	got, err = s.Client.Cluster(t.Context(), "old")
	if err != nil || got.Storage.Enabled || len(got.Storage.Down) != 3 {
		t.Errorf("a disabled storage: %+v, error %v", got.Storage, err)
	}
	if _, err = s.Client.Cluster(t.Context(), "nosuch"); !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("no such storage: %v, want ErrNotFound", err)
	}
	if _, err = s.Client.Cluster(t.Context(), "../../x"); err == nil || s.Count("GET", `\.\.`) != 0 {
		t.Errorf("a storage that is a path: %v", err)
	}
}

// cluster asks the client, not the simulation of the same name.
func (s *scene) cluster(t *testing.T) (backup.Cluster, error) {
	t.Helper()
	return s.Client.Cluster(t.Context(), "pbs-smith")
}

func TestANodeWithoutAClusterIsQuorate(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) { cfg.Nodes, cfg.Guests = []string{"smith"}, nil })
	if got, err := s.cluster(t); err != nil || !got.Quorate || got.Name != "" {
		t.Errorf("cluster %+v, error %v", got, err)
	}
}

func TestGuests(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) {
		cfg.Guests = append([]pvetest.Guest{
			{VMID: 120, Name: "tpl", Template: true}, {VMID: 99999, Name: "off", Stopped: true, Lock: "snapshot"},
		}, cfg.Guests...)
	})
	s.Down("jones")
	want := []backup.Guest{
		{VMID: 101, Type: backup.VM, Name: "web", Node: "smith", Online: true, Running: true},
		{VMID: 105, Type: backup.Container, Name: "plex", Node: "smith", Online: true, Running: true},
		{VMID: 110, Type: backup.VM, Name: "db", Node: "jones"},
		{VMID: 120, Type: backup.VM, Name: "tpl", Node: "smith", Online: true, Template: true},
		{VMID: 99999, Type: backup.VM, Name: "off", Node: "smith", Online: true, Lock: "snapshot"},
	}
	got, err := s.Guests(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v; guests (-want +got):\n%s", err, diff)
	}
}

func TestVolumes(t *testing.T) {
	s := newScene(t, func(cfg *pvetest.Config) {
		cfg.Storages = []pvetest.Storage{{Name: "nvme", Type: "zfspool", Pool: "nvme/vm"}, {Name: "dir", Type: "dir"}, {Name: "evil", Type: "zfspool", Pool: "x@y"}}
		cfg.Guests = []pvetest.Guest{
			{VMID: 101, Config: map[string]string{
				"scsi0": "nvme:vm-101-disk-0,discard=on,size=60G", "scsi1": "nvme:vm-101-disk-1,backup=0,size=1T", "virtio2": "nvme:base-100-disk-0/vm-101-disk-2",
				"ide2": "nvme:vm-101-cloudinit,media=cdrom", "sata0": "none,media=cdrom", "efidisk0": "nvme:vm-101-disk-3,efitype=4m", "tpmstate0": "file=nvme:vm-101-disk-4,version=v2.0",
				"scsi3": "dir:101/vm-101-disk-0.qcow2,backup=1", "scsi4": "/dev/disk/by-id/ata-x", "unused0": "nvme:vm-101-disk-9", "scsi5": "evil:a", "scsi6": "nvme:a@b",
				"scsihw": "virtio-scsi-pci", "net0": "virtio=AA:BB:CC:DD:EE:FF,bridge=vmbr0", "name": "web",
			}},
			{VMID: 102, Config: map[string]string{"efidisk0": "nvme:vm-102-disk-0", "bios": "ovmf"}},
			{VMID: 105, Type: backup.Container, Config: map[string]string{
				"rootfs": "nvme:subvol-105-disk-0,size=8G", "mp0": "/hdd/data/media,mp=/media", "mp1": "nvme:subvol-105-disk-1,mp=/a,backup=1", "mp2": "volume=nvme:subvol-105-disk-2,mp=/b", "mp3": "/dev/sdb1,mp=/c,backup=1",
			}},
		}
	})
	for vmid, want := range map[int][]backup.GuestVolume{
		101: {
			{VMID: 101, Slot: "efidisk0", Dataset: "nvme/vm/vm-101-disk-3"},
			{VMID: 101, Slot: "scsi0", Dataset: "nvme/vm/vm-101-disk-0", Saved: true},
			{VMID: 101, Slot: "scsi1", Dataset: "nvme/vm/vm-101-disk-1"},
			{VMID: 101, Slot: "scsi3", Saved: true},
			{VMID: 101, Slot: "scsi4", Saved: true},
			{VMID: 101, Slot: "scsi5", Saved: true},
			{VMID: 101, Slot: "scsi6", Saved: true},
			{VMID: 101, Slot: "tpmstate0", Dataset: "nvme/vm/vm-101-disk-4", Saved: true},
			{VMID: 101, Slot: "unused0", Dataset: "nvme/vm/vm-101-disk-9"},
			{VMID: 101, Slot: "virtio2", Dataset: "nvme/vm/vm-101-disk-2", Saved: true},
		},
		102: {{VMID: 102, Slot: "efidisk0", Dataset: "nvme/vm/vm-102-disk-0", Saved: true}},
		105: {
			{VMID: 105, Slot: "mp0", HostPath: "/hdd/data/media"},
			{VMID: 105, Slot: "mp1", Dataset: "nvme/vm/subvol-105-disk-1", Saved: true},
			{VMID: 105, Slot: "mp2", Dataset: "nvme/vm/subvol-105-disk-2"},
			{VMID: 105, Slot: "mp3", HostPath: "/dev/sdb1"},
			{VMID: 105, Slot: "rootfs", Dataset: "nvme/vm/subvol-105-disk-0", Saved: true},
		},
	} {
		got, err := s.Volumes(t.Context(), s.guest(t, vmid))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("guest %d: error %v; volumes (-want +got):\n%s", vmid, err, diff)
		}
	}
	if _, err := s.Volumes(t.Context(), backup.Guest{VMID: 101, Type: "qemu/../..", Node: "smith"}); err == nil {
		t.Error("a kind of guest that is a path was asked for")
	}
}

// What a server says must neither choose what is asked next nor end the client.
func TestAnswersThatMakeNoSense(t *testing.T) {
	for name, test := range map[string]struct {
		path, body string
	}{
		"no JSON":                   {"/cluster/resources", "<html>"},
		"JSON and more":             {"/cluster/resources", `{"data":[]}x`},
		"no data":                   {"/cluster/resources", `{}`},
		"another kind of data":      {"/cluster/resources", `{"data":{"a":1}}`},
		"a vmid that is none":       {"/cluster/resources", `{"data":[{"vmid":7,"type":"qemu","node":"smith"}]}`},
		"a vmid that is a list":     {"/cluster/resources", `{"data":[{"vmid":[101],"type":"qemu","node":"smith"}]}`},
		"a kind nobody knows":       {"/cluster/resources", `{"data":[{"vmid":101,"type":"../..","node":"smith"}]}`},
		"a node that is a path":     {"/cluster/resources", `{"data":[{"vmid":101,"type":"qemu","node":"../../access"}]}`},
		"the same guest twice":      {"/cluster/resources", `{"data":[{"vmid":101,"type":"qemu","node":"smith"},{"vmid":"101","type":"qemu","node":"jones"}]}`},
		"a flag that is neither":    {"/cluster/resources", `{"data":[{"vmid":101,"type":"qemu","node":"smith","template":7}]}`},
		"more than anybody needs":   {"/cluster/resources", `{"data":[` + strings.Repeat(" ", 17<<20) + `]}`},
		"a redirect is no answer":   {"/nodes", ""},
		"so deep that it is a trap": {"/nodes", `{"data":` + strings.Repeat("[", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			code := 200
			if test.body == "" {
				code = 302
			}
			s.Fail(pvetest.Fault{Path: test.path, Code: code, Body: test.body, Reason: "Found", Times: -1})
			got, err := s.Guests(t.Context())
			if err == nil || got != nil {
				t.Errorf("guests %v, error %v; want an error only", got, err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestNumbersAndNamesAsPerlWritesThem(t *testing.T) {
	s := newScene(t, nil)
	s.Fail(pvetest.Fault{Path: "/cluster/resources", Code: 200, Body: `{"data":[{"vmid":"101","type":"qemu","node":"smith","name":42,"status":"running","template":"0","lock":null},` +
		`{"vmid":102,"type":"lxc","node":"smith","name":"a\u001b[31m\u202eb","template":""}]}`})
	want := []backup.Guest{
		{VMID: 101, Type: backup.VM, Name: "42", Node: "smith", Online: true, Running: true},
		{VMID: 102, Type: backup.Container, Name: "a [31m b", Node: "smith", Online: true},
	}
	got, err := s.Guests(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v; guests (-want +got):\n%s", err, diff)
	}
}
