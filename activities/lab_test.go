//go:build lab

package activities_test

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs"
)

// lab is replication on real OpenZFS, in the lab's pools nvme and hdd, with a zfs
// before the real one on PATH that writes down what it is asked for.
type lab struct {
	t   *testing.T
	dir string
	*activities.Pools
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir()}
	real, err := exec.LookPath("zfs")
	must(t, err)
	script := `#!/bin/sh
echo "$*" >>` + l.dir + `/log
[ "$1" != receive ] || [ ! -e ` + l.dir + `/hang ] || exec sleep 1000
exec ` + real + ` "$@"
`
	must(t, os.WriteFile(filepath.Join(l.dir, "zfs"), []byte(script), 0o755))
	t.Setenv("PATH", l.dir+":"+os.Getenv("PATH"))
	clean := func() {
		l.sh(`for d in nvme/t-replica hdd/t-replica; do
			zfs list -H -t snapshot -o name -r $d 2>/dev/null | while read -r x; do
				zfs holds -H "$x" | while read -r n tag rest; do zfs release "$tag" "$n"; done
			done
			! zfs list $d >/dev/null 2>&1 || zfs destroy -R $d
		done`)
	}
	clean()
	t.Cleanup(clean)
	l.sh(`zfs create -o recordsize=1M -o acltype=posix nvme/t-replica; zfs create nvme/t-replica/b; zfs create nvme/t-replica/x; zfs create nvme/t-replica/x/c`)
	l.Pools = &activities.Pools{
		ZFS: &zfs.Host{Deadline: time.Minute}, Locks: activities.NewLocks(), Now: time.Now,
		Policy: backup.Policy{
			Host: "smith", Prefix: "triplicate", Zone: time.UTC,
			Rows: []backup.Row{
				{Dataset: "nvme/t-replica", Frequency: hourly, Keep: backup.Keep{Hourly: 2}, Exclude: []string{"nvme/t-replica/x"}},
				{Dataset: "nvme/t-replica/x/c", Frequency: hourly, Keep: backup.Keep{Hourly: 2}},
			},
			Replicas: []backup.Replica{{Name: "lab", Source: "nvme/t-replica", Target: "hdd/t-replica/of/nvme"}},
		},
	}
	return l
}

func (l *lab) sh(script string) string {
	l.t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// night writes into every dataset, takes their snapshots, and copies them.
func (l *lab) night(stamp string) {
	l.t.Helper()
	noise := make([]byte, 200_000)
	_, err := rand.Read(noise)
	must(l.t, err)
	var names []string
	for _, d := range []string{"nvme/t-replica", "nvme/t-replica/b", "nvme/t-replica/x/c"} {
		must(l.t, os.WriteFile(filepath.Join("/", d, "f"), noise, 0o644))
		names = append(names, d+"@triplicate-"+stamp)
	}
	must(l.t, l.ZFS.TakeSnapshots(l.t.Context(), names, map[string]string{backup.PropClass: backup.ClassPeriodic}))
}

// commands is what zfs was asked for by f.
func (l *lab) commands(f func()) []string {
	l.t.Helper()
	must(l.t, os.WriteFile(filepath.Join(l.dir, "log"), nil, 0o644))
	f()
	data, err := os.ReadFile(filepath.Join(l.dir, "log"))
	must(l.t, err)
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestReplicationOnOpenZFS(t *testing.T) {
	l := newLab(t)
	l.night("20261124T010000Z")
	first := planned(t, l.Pools, "lab")
	if diff := cmp.Diff([]string{"nvme/t-replica", "nvme/t-replica/b", "nvme/t-replica/x/c"}, first.Sources); diff != "" {
		t.Fatalf("sources (-want +got):\n%s", diff)
	}
	_, err := l.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "lab", Dataset: "nvme/t-replica/b"})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != activities.TypeNoParent {
		t.Errorf("a child before its parent: %v, want %s", err, activities.TypeNoParent)
	}
	for _, stamp := range []string{"", "20261124T020000Z"} {
		if stamp != "" {
			l.night(stamp)
		}
		for _, d := range planned(t, l.Pools, "lab").Sources {
			steps := l.commands(func() { replicate(t, l.Pools, "lab", d) })
			t.Logf("%s: %d commands", d, len(steps))
		}
	}
	if got := l.sh(`zfs list -H -r -t snapshot -o name nvme/t-replica | xargs zfs holds -H`); got != "" {
		t.Errorf("the source is held: %s", got)
	}
	if got := l.sh(`zfs get -H -o value,source triplicate:container hdd/t-replica/of/nvme/x`); got != "on\tlocal" {
		t.Errorf("the excluded parent is %q, want a container of ours", got)
	}
	set, err := backup.ParseOriginals(l.sh(`zfs get -Hp -o value triplicate:original hdd/t-replica/of/nvme`))
	if err != nil || set["recordsize"] != "1048576" || set["acltype"] == "" {
		t.Errorf("originals %v, %v", set, err)
	}

	for what, tt := range map[string]struct {
		most int
		do   func()
	}{
		"an unchanged dataset": {3, func() { replicate(t, l.Pools, "lab", "nvme/t-replica") }},
		"an unchanged replica": {4, func() {
			if p := planned(t, l.Pools, "lab"); p.UpToDate != 3 || len(p.Sources)+len(p.Items) > 0 {
				t.Errorf("plan = %+v, want three up to date", p)
			}
		}},
	} {
		if got := l.commands(tt.do); len(got) > tt.most {
			t.Errorf("%s: %d commands, want at most %d:\n%s", what, len(got), tt.most, strings.Join(got, "\n"))
		}
	}
}

// TestStalledReceiveOnOpenZFS: zfs send goes on saying how little it has sent.
func TestStalledReceiveOnOpenZFS(t *testing.T) {
	l := newLab(t)
	l.night("20261124T010000Z")
	l.Stall = 3 * time.Second
	hang := filepath.Join(l.dir, "hang")
	must(t, os.WriteFile(hang, nil, 0o644))
	_, err := l.ReplicateDataset(t.Context(), activities.ReplicateParams{Replica: "lab", Dataset: "nvme/t-replica"})
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != activities.TypeStalled {
		t.Errorf("error %v, want %s", err, activities.TypeStalled)
	}
	t.Log(err)
	must(t, os.Remove(hang))
	replicate(t, l.Pools, "lab", "nvme/t-replica")
}
