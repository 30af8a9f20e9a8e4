//go:build lab

package zfs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs"
	"triplicate/internal/zfs/zfstest"
)

// scene is real OpenZFS under contract, in the lab's pools nvme and hdd.
type scene struct {
	t    *testing.T
	host *zfs.Host
}

func (s scene) sh(script string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", script, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s scene) ZFS() activities.ZFS { return s.host }

func join(dir, name string) string { return strings.TrimSuffix(dir+"/"+name, "/") }

func (s scene) Source(name string) string { return join("nvme/t-contract", name) }

func (s scene) Target(name string) string { return join("hdd/t-contract", name) }

func (s scene) MkDataset(name string) { s.sh(`zfs create "$1"`, name) }

func (s scene) MkVolume(name string) { s.sh(`zfs create -V 8M "$1"`, name) }

func (s scene) MkEncrypted(name string) {
	s.sh(`echo not a secret, a test | zfs create -o encryption=on -o keyformat=passphrase "$1"`, name)
}

func (s scene) UnloadKey(name string) { s.sh(`zfs unmount "$1"; zfs unload-key "$1"`, name) }

func (s scene) Clone(snapshot, dataset string) { s.sh(`zfs clone "$1" "$2"`, snapshot, dataset) }

func (s scene) Destroy(name string) { s.sh(`zfs destroy -r "$1"`, name) }

// Edit works through a mount of its own, for a replica is mounted nowhere. What
// was written counts once it is on the pool.
func (s scene) Edit(dataset string, change func(dir string)) {
	dir := s.t.TempDir()
	s.sh(`zfs set readonly=off "$1"; mount -t zfs -o zfsutil "$1" "$2"`, dataset, dir)
	defer s.sh(`umount "$1"; zpool sync`, dir)
	change(dir)
}

func (s scene) WriteFile(dataset, file, content string) {
	s.Edit(dataset, func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	})
}

func (s scene) Property(dataset, name string) backup.Property {
	value, source, _ := strings.Cut(s.sh(`zfs get -Hp -o value,source "$2" "$1"`, dataset, name), "\t")
	return backup.Property{Value: value, Source: source}
}

func (s scene) SetProperty(dataset, name, value string) {
	s.sh(`zfs set "$2=$3" "$1"`, dataset, name, value)
}

func (s scene) CutReceive(snap backup.Snapshot, target string, props map[string]string) {
	args := []string{snap.String(), target}
	for k, v := range props {
		args = append(args, "-o", k+"="+v)
	}
	s.sh(`from=$1 to=$2; shift 2; ! zfs send -L -c -e "$from" | head -c 40000 | zfs receive -s -u -o readonly=on "$@" "$to"`, args...)
}

func (s scene) Mount(snapshot string) func() {
	dir := s.t.TempDir()
	s.sh(`mount -t zfs -o ro "$1" "$2"`, snapshot, dir)
	return func() { s.sh(`umount "$1"`, dir) }
}

func (s scene) Leave(snap backup.Snapshot) {
	dir := filepath.Join(s.host.MountRoot, snap.GUID.String())
	s.sh(`mkdir -p "$2"; mount -t zfs -o ro,nosuid,nodev,noexec "$1" "$2"`, snap.String(), dir)
}

// DotZFS does not go into the snapshot's folder: that would mount it.
func (s scene) DotZFS(snapshot string) bool {
	dataset, name, _ := strings.Cut(snapshot, "@")
	shown, err := os.ReadDir(filepath.Join("/", dataset, ".zfs/snapshot"))
	return err == nil && slices.ContainsFunc(shown, func(e os.DirEntry) bool { return e.Name() == name })
}

// MkPool keeps its disk in memory: a file that can be given less room than it
// would need.
func (s scene) MkPool(name string) {
	dir := s.t.TempDir()
	s.sh(`mount -t tmpfs -o size=300M pool "$2"; truncate -s 128M "$2/disk"; zpool create -f -o cachefile=none "$1" "$2/disk"`, name, dir)
	s.t.Cleanup(func() {
		s.await(`zpool destroy -f "$1"`, name) // busy for a moment after its last use
		s.sh(`umount "$1"`, dir)
	})
}

func (s scene) disk(pool string) string {
	return s.sh(`zpool list -vHP "$1" | awk 'NR == 2 { print $1 }'`, pool)
}

func (s scene) ReadOnly(pool string) {
	s.sh(`zpool export "$1"; zpool import -d "$2" -o readonly=on -o cachefile=none "$1"`, pool, s.disk(pool))
}

// Suspend lets the pool's writes fail for want of room under its disk. With
// zinject -e nxio instead, even zpool list hangs.
func (s scene) Suspend(pool string) func() {
	dir := filepath.Dir(s.disk(pool))
	s.sh(`used=$(df -k "$1" | awk 'END { print $3 }'); mount -o remount,size=$((used + 1024))k "$1"`, dir)
	// Whoever writes waits until the pool is back.
	writer := exec.Command("sh", "-c", `head -c 8000000 /dev/urandom >"/$1/fill"; zpool sync "$1"`, "sh", pool)
	if err := writer.Start(); err != nil {
		s.t.Fatal(err)
	}
	revive := sync.OnceFunc(func() {
		s.sh(`mount -o remount,size=300M "$1"; zpool clear "$2"`, dir, pool)
		if err := writer.Wait(); err != nil {
			s.t.Errorf("a write that waited for the pool: %v", err)
		}
	})
	s.t.Cleanup(revive)
	s.await(`[ "$(zpool list -H -o health "$1")" = SUSPENDED ]`, pool)
	return revive
}

func (s scene) await(condition, arg string) {
	s.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if exec.Command("sh", "-c", condition, "sh", arg).Run() == nil {
			return
		}
		<-tick.C
	}
	s.t.Fatalf("%s %s: not within a minute", condition, arg)
}

// clear removes what an earlier test, perhaps a killed one, left.
func (s scene) clear() {
	s.sh(`for p in nvme hdd; do
		zfs list -H -t snapshot -o name -r $p/t-contract 2>/dev/null | while IFS= read -r x; do
			zfs holds -H "$x" | while IFS="$(printf '\t')" read -r n tag rest; do zfs release "$tag" "$n"; done
		done
		! zfs list $p/t-contract >/dev/null 2>&1 || zfs destroy -R $p/t-contract
	done`)
}

func newScene(t *testing.T) scene {
	// No command of the contract takes long; one that hangs should say so.
	s := scene{t, &zfs.Host{Deadline: time.Minute, MountRoot: t.TempDir()}}
	s.clear()
	s.MkDataset("nvme/t-contract")
	return s
}

func TestContract(t *testing.T) {
	zfstest.Contract(t, func(t *testing.T) zfstest.Scene { return newScene(t) })
}

// elsewhere tells a second process of this program which lock to hold.
const elsewhere = "TRIPLICATE_TEST_LOCK"

// TestLookElsewhere is the second process of TestMountIsCountedAcrossProcesses.
func TestLookElsewhere(t *testing.T) {
	name := os.Getenv(elsewhere)
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
}

// TestMountIsCountedAcrossProcesses: the operator's restore looks at a snapshot
// beside the daemon, and is killed.
func TestMountIsCountedAcrossProcesses(t *testing.T) {
	s := newScene(t)
	s.MkDataset(s.Source("a"))
	s.sh(`zfs snapshot "$1@1"`, s.Source("a"))
	snaps, _, err := s.host.Points(t.Context(), s.Source("a"))
	if err != nil || len(snaps) != 1 {
		t.Fatalf("snapshots = %v, %v", snaps, err)
	}
	s.Leave(snaps[0])
	dir := filepath.Join(s.host.MountRoot, snaps[0].GUID.String())
	other := exec.Command(os.Args[0], "-test.run=^TestLookElsewhere$")
	other.Env = append(os.Environ(), elsewhere+"="+dir+".lock")
	if _, err := other.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	reap := func() {
		t.Helper()
		if err := s.host.ReapMounts(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mounted := func() bool {
		t.Helper()
		facts, err := s.host.Facts(t.Context(), snaps[0].String())
		if err != nil || len(facts) != 1 {
			t.Fatalf("facts = %v, %v", facts, err)
		}
		return facts[0].Mounted
	}
	_, unmount, err := s.host.MountSnapshot(t.Context(), snaps[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := unmount(); err != nil || !mounted() {
		t.Errorf("it was unmounted under another process (%v)", err)
	}
	if reap(); !mounted() {
		t.Error("it was reaped under another process")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	if reap(); mounted() {
		t.Error("what the killed process looked at is still mounted")
	}
	if left, err := filepath.Glob(dir + "*"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
