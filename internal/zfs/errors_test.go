package zfs

import (
	"errors"
	"testing"

	"triplicate/internal/backup"
)

// What OpenZFS 2.3.9 said, in the lab.
func TestClassify(t *testing.T) {
	for name, tc := range map[string]struct {
		said string
		want error
	}{
		"snapshot exists":     {"cannot create snapshot 'nvme/t/a@m': dataset already exists\nno snapshots were created\n", backup.ErrExists},
		"no dataset":          {"cannot open 'nvme/nosuch': dataset does not exist\nusage:\n", backup.ErrNotFound},
		"held":                {"cannot destroy snapshot nvme/t@a: it's being held. Run 'zfs holds -r nvme/t@a' to see holders.\n", backup.ErrHeld},
		"cloned":              {"cannot destroy 'nvme/t@a': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\nnvme/c\n", backup.ErrCloned},
		"cut":                 {"cannot receive incremental stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\n", backup.ErrIncomplete},
		"cut without -s":      {"cannot receive new filesystem stream: incomplete stream\n", backup.ErrIncomplete},
		"empty stream":        {"cannot receive: failed to read from stream\n", backup.ErrIncomplete},
		"partial there":       {"cannot receive new filesystem stream: destination hdd/t/d contains partially-complete state from \"zfs receive -s\".\n", backup.ErrPartial},
		"modified":            {"cannot receive incremental stream: destination hdd/t/d has been modified\nsince most recent snapshot\n", backup.ErrModified},
		"no base":             {"cannot receive incremental stream: most recent snapshot of hdd/t/d does not\nmatch incremental source\n", backup.ErrDiverged},
		"full onto existing":  {"cannot receive new filesystem stream: destination 'hdd/t/d' exists\nmust specify -F to overwrite it\n", backup.ErrExists},
		"full pool":           {"cannot create snapshots : out of space\n", backup.ErrNoSpace},
		"quota":               {"cannot receive new filesystem stream: destination small/q space quota exceeded.\n", backup.ErrNoSpace},
		"read-only pool":      {"cannot create snapshots : pool is read-only\n", backup.ErrReadOnlyPool},
		"suspended":           {"cannot open 'gone/a': pool I/O is currently suspended\n", backup.ErrSuspended},
		"key":                 {"warning: cannot send 'nvme/e@1': dataset key must be loaded\n", backup.ErrKeyUnavailable},
		"bad token":           {"cannot resume send: resume token is corrupt (invalid format)\n", backup.ErrStaleToken},
		"token's source gone": {"cannot resume send: 'nvme/t@1' used in the initial send no longer exists\n", backup.ErrStaleToken},
		"busy":                {"cannot unmount '/nvme/t/d': pool or dataset is busy\n", backup.ErrBusy},
		"mount, no key":       {"zfs_mount_at() failed: encryption key not loadedmount: mounting nvme/e@1 on /run/m failed: Permission denied\n", backup.ErrKeyUnavailable},
		"unmount, busybox":    {"umount: can't unmount /run/m: Device or resource busy\n", backup.ErrBusy},
		"unmount, util-linux": {"umount: /run/m: target is busy.\n", backup.ErrBusy},
		"something new":       {"cannot foo: bar\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := classify(tc.said); !errors.Is(got, tc.want) {
				t.Errorf("classify = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"nvme": true, "nvme/a b": true, "nvme/a@triplicate-20261122T013000Z": true, "nvme/a#m": true,
		"-r": false, "nvme/a@b,c": false, "nvme/a@b%c": false, "nvme/a@b@c": false, "": false, "nvme//a": false,
		"nvme/../b": false, "nvme/$(reboot)": false, "nvme/a\nb": false, "nvme/ä": false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v, want ok = %v", name, err, ok)
		}
	}
}

func TestMounts(t *testing.T) {
	got := parseMounts("nvme/a /nvme/a zfs rw 0 0\nnvme/a\\040b@s /run/mnt zfs ro 0 0\nproc /proc proc rw 0 0\n")
	if want := (mount{snapshot: "nvme/a b@s", dir: "/run/mnt"}); len(got) != 1 || got[0] != want {
		t.Errorf("parseMounts = %v, want only %v", got, want)
	}
}
