package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/internal/zfs/zfstest"
)

// noon is when the command runs, half a day after a night.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const rows = `
host: smith
timezone: Europe/Vienna
snapshots:
  - { dataset: nvme,             frequency: disabled }
  - { dataset: nvme/personal,    frequency: hourly,         keep: { hourly: 3 } }
  - { dataset: hdd,              frequency: disabled }
  - { dataset: hdd/data,         frequency: daily at 01:30, keep: { daily: 2 } }
  - { dataset: hdd/backups-data, frequency: daily at 02:00, keep: { daily: 3 } }
replicas:
  - { source: nvme/personal, target: hdd/backups-data/personal, frequency: daily at 02:30 }
`

// smith is a machine with pools in memory, a config and a clock.
type smith struct {
	t      *testing.T
	host   *zfstest.Host
	zfs    activities.ZFS // the host, unless a test puts something before it
	now    time.Time
	config string // its path
	server string // the config's line that says where the Temporal server is
}

// newSmith has the datasets of rows and no snapshot. Nothing listens where its
// Temporal server would be, unless more says where one is.
func newSmith(t *testing.T, more ...string) *smith {
	t.Helper()
	for _, v := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_NAMESPACE", "TRIPLICATE_CONFIG", "NO_COLOR"} {
		t.Setenv(v, "")
	}
	host := zfstest.New(t, "nvme", "hdd")
	for _, d := range []string{"nvme/personal", "nvme/personal/photos", "hdd/data", "hdd/backups-data"} {
		host.MkDataset(d)
	}
	s := &smith{t: t, host: host, zfs: host, now: noon, config: filepath.Join(t.TempDir(), "triplicate.yaml")}
	if len(more) == 0 {
		more = []string{fmt.Sprintf("temporal: { port: %d }", freePort(t))}
	}
	s.server = strings.Join(more, "\n") + "\n"
	s.write(rows + s.server)
	host.SetNow(func() time.Time { return s.now })
	return s
}

// backedUp is smith after two nights and a morning of hours.
func backedUp(t *testing.T, more ...string) *smith {
	t.Helper()
	s := newSmith(t, more...)
	for day := 24; day <= 25; day++ {
		night := time.Date(2026, 11, day, 0, 30, 0, 0, time.UTC)
		s.snapshot(night, "hdd/data")
		s.snapshot(night.Add(30*time.Minute), "hdd/backups-data")
		s.snapshot(night.Add(30*time.Minute), "nvme/personal", "nvme/personal/photos")
		s.replicate("nvme/personal", "nvme/personal/photos")
	}
	for hour := 9; hour <= 12; hour++ {
		s.snapshot(time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC), "nvme/personal", "nvme/personal/photos")
	}
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *smith) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	lastConfig = s.config
}

// lastConfig is the file that a daemon would have read.
var lastConfig string

// pools are the real steps, on the pools in memory and with the test's clock.
func (s *smith) pools(cfg *config.Config) *activities.Pools {
	p := app.Pools(cfg)
	p.ZFS, p.Now = s.zfs, func() time.Time { return s.now }
	return p
}

// machine is run by root, with the zone of the config and a clock that is kept right.
func (s *smith) machine(m activities.Machine) activities.Machine {
	m.User, m.Adrift, m.Allowed = 0, false, nil
	m.Zone, _ = time.LoadLocation("Europe/Vienna")
	return m
}

// steps are the pools of the config as it is on disk.
func (s *smith) steps() *activities.Pools {
	s.t.Helper()
	cfg, err := config.LoadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.pools(cfg)
}

// snapshot takes one of each dataset, all of one pool, as a run at that time does.
func (s *smith) snapshot(at time.Time, datasets ...string) {
	s.t.Helper()
	now := s.now
	defer func() { s.now = now }()
	s.now = at
	for _, d := range datasets {
		s.host.WriteFile(d, "letter", at.String())
	}
	res, err := s.steps().TakeSnapshots(s.t.Context(), activities.TakeSnapshotsParams{
		Pool: backup.PoolOf(datasets[0]), Datasets: datasets, Stamp: backup.StampOf(at), Run: "run",
	})
	if err != nil || res.Taken != len(datasets) || len(res.Items) > 0 {
		s.t.Fatalf("snapshot of %v at %s: %+v, %v", datasets, at, res, err)
	}
}

// replicate brings datasets' copies up to date.
func (s *smith) replicate(datasets ...string) {
	s.t.Helper()
	if _, err := s.steps().PlanReplica(s.t.Context(), activities.PlanReplicaParams{Replica: "personal"}); err != nil {
		s.t.Fatal(err)
	}
	for _, d := range datasets {
		if _, err := s.steps().ReplicateDataset(s.t.Context(), activities.ReplicateParams{Replica: "personal", Dataset: d}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// said is what a run of the command left behind.
type said struct {
	code     int
	out, err string
}

// triplicate runs the command on smith.
func (s *smith) triplicate(args ...string) said {
	s.t.Helper()
	return s.triplicateIn(s.t.Context(), args...)
}

func (s *smith) triplicateIn(ctx context.Context, args ...string) said {
	var out, errOut bytes.Buffer
	c := &cli{out: &out, errOut: &errOut, pools: s.pools, machine: s.machine, now: func() time.Time { return s.now }, system: &system{"Smith.lan", "Europe/Vienna"}}
	code := c.run(ctx, append([]string{"--config", s.config}, args...))
	return said{code, out.String(), errOut.String()}
}

// must says how the command should have ended.
func (s *smith) must(code int, args ...string) said {
	s.t.Helper()
	got := s.triplicate(args...)
	if got.code != code {
		s.t.Fatalf("triplicate %s ended with %d, want %d\n%s%s", strings.Join(args, " "), got.code, code, got.out, got.err)
	}
	return got
}
