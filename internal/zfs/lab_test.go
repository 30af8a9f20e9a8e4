//go:build lab

package zfs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs"
	"triplicate/internal/zfs/zfstest"
)

// scene is real OpenZFS under contract, in the lab's pools nvme and hdd.
type scene struct{ t *testing.T }

func (s scene) sh(script string, args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "sh", append([]string{"-c", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", script, args, err, out)
	}
	return string(out)
}

func (s scene) ZFS() activities.ZFS { return &zfs.Host{} }

func join(dir, name string) string { return strings.TrimSuffix(dir+"/"+name, "/") }

func (s scene) Source(name string) string { return join("nvme/t-contract", name) }

func (s scene) Target(name string) string { return join("hdd/t-contract", name) }

func (s scene) MkDataset(name string) { s.sh(`zfs create "$1"`, name) }

func (s scene) MkVolume(name string) { s.sh(`zfs create -V 8M "$1"`, name) }

func (s scene) Destroy(name string) { s.sh(`zfs destroy -r "$1"`, name) }

// WriteFile writes through a mount of its own, for a replica is mounted nowhere.
func (s scene) WriteFile(dataset, file, content string) {
	s.sh(`zfs set readonly=off "$1"; d=$(mktemp -d); mount -t zfs -o zfsutil "$1" $d && printf %s "$3" >"$d/$2" && [ ${#3} -lt 1000 ] || head -c 300000 /dev/urandom >"$d/noise"; umount $d`, dataset, file, content)
}

func (s scene) Read(snapshot, file string) string {
	dir := s.t.TempDir()
	s.sh(`mount -t zfs -o ro "$1" "$2"`, snapshot, dir)
	defer s.sh(`umount "$1"`, dir)
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s scene) CutReceive(snap backup.Snapshot, target string, props map[string]string) {
	args := []string{snap.String(), target}
	for k, v := range props {
		args = append(args, "-o", k+"="+v)
	}
	s.sh(`from=$1 to=$2; shift 2; zfs send -L -c -e "$from" | head -c 40000 | zfs receive -s -u -o readonly=on "$@" "$to"; [ $? != 0 ]`, args...)
}

func (s scene) Mount(snapshot string) func() {
	dir := s.t.TempDir()
	s.sh(`mount -t zfs -o ro "$1" "$2"`, snapshot, dir)
	return func() { s.sh(`umount "$1"`, dir) }
}

func (s scene) MkEncrypted(name string) {
	s.sh(`echo not a secret, a test | zfs create -o encryption=on -o keyformat=passphrase "$1"`, name)
}

func (s scene) UnloadKey(name string) { s.sh(`zfs unmount "$1"; zfs unload-key "$1"`, name) }

func TestContract(t *testing.T) {
	zfstest.Contract(t, func(t *testing.T) zfstest.Scene {
		s := scene{t}
		clear := func() {
			s.sh(`for p in nvme hdd; do
				for x in $(zfs list -H -t snapshot -o name -r $p/t-contract 2>/dev/null); do
					zfs holds -H $x | while read -r n tag rest; do zfs release $tag $n; done
				done
				! zfs list $p/t-contract >/dev/null 2>&1 || zfs destroy -r $p/t-contract; done`)
		}
		clear()
		s.MkDataset("nvme/t-contract")
		return s
	})
}
