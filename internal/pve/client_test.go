package pve_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/pve"
	"triplicate/internal/pve/pvetest"
)

var _ activities.Hypervisor = (*pve.Client)(nil)

// scene is a simulated cluster and a client of it.
type scene struct {
	*pvetest.Cluster
	*pve.Client
	token string
	waits []time.Duration
}

// guests are what most scenes have.
var guests = []pvetest.Guest{
	{VMID: 101, Name: "web"},
	{VMID: 105, Name: "plex", Type: backup.Container, Size: 16 << 30},
	{VMID: 110, Name: "db", Node: "jones"},
}

// newScene starts a cluster of three nodes. When the test ends, nothing may have
// been done that no client may do.
func newScene(t *testing.T, change func(*pvetest.Config)) *scene {
	t.Helper()
	cfg := pvetest.Config{Nodes: []string{"smith", "jones", "brown"}, Guests: guests, Schema: vendorSchema(t)}
	if change != nil {
		change(&cfg)
	}
	s := &scene{token: pvetest.DefaultToken.Text()}
	var err error
	if s.Cluster, err = pvetest.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Cluster.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range s.Violations() {
			t.Errorf("violation: %s", v)
		}
	})
	s.Client = s.client(t, s.URLs()...)
	return s
}

func (s *scene) client(t *testing.T, urls ...string) *pve.Client {
	t.Helper()
	c, err := pve.New(pve.Config{
		URLs: urls, Fingerprints: s.Fingerprints(), Timeout: 5 * time.Second,
		Token: func() (string, error) { return s.token, nil },
		Wait:  func(ctx context.Context, d time.Duration) error { s.waits = append(s.waits, d); return ctx.Err() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func vendorSchema(t *testing.T) string {
	t.Helper()
	dir := pvetest.SchemaDir()
	if dir == "" {
		t.Logf("the vendor's schema is absent: requests are checked by name only; set %s to its folder", pvetest.SchemaEnv)
	}
	return dir
}

// guest is a guest as the cluster lists it.
func (s *scene) guest(t *testing.T, vmid int) backup.Guest {
	t.Helper()
	list, err := s.Guests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(g backup.Guest) bool { return g.VMID == vmid })
	if i < 0 {
		t.Fatalf("no guest %d in %v", vmid, list)
	}
	return list[i]
}

func (s *scene) dump(t *testing.T, vmid int) backup.Dump {
	t.Helper()
	return backup.Dump{Guest: s.guest(t, vmid), Storage: "pbs-smith", Key: "night-20261122T010000Z"}
}

// start starts a dump that must start.
func (s *scene) start(t *testing.T, vmid int) backup.UPID {
	t.Helper()
	id, err := s.StartDump(t.Context(), s.dump(t, vmid))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *scene) task(t *testing.T, id backup.UPID) backup.Task {
	t.Helper()
	task, err := s.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// log is a task's whole log.
func (s *scene) log(t *testing.T, id backup.UPID) (lines []string) {
	t.Helper()
	for {
		part, err := s.TaskLog(t.Context(), id, len(lines))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, part.Lines...)
		if part.Next >= part.Total {
			return lines
		}
	}
}
