package pbs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/pbs"
	"triplicate/internal/pbs/pbstest"
)

// The client is what the activities need, and knows nothing of them.
var _ activities.Datastore = (*pbs.Client)(nil)

const (
	secret = "canary-5f0c2b4e-0000-4000-8000-feedfacebeef"
	token  = "triplicate@pbs!night:" + secret
)

// scene is a server with a datastore, a client of it, and their clock.
type scene struct {
	*pbs.Client
	t      *testing.T
	server *pbstest.Server
	store  *pbstest.Store

	mu    sync.Mutex
	at    time.Time
	takes map[string]time.Duration
	waits []time.Duration
}

// start is noon of some day; backups are of nights before.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newScene sets one up, and checks at its end that nothing was asked that the
// vendor's API does not have. options change the client's configuration.
func newScene(t *testing.T, options ...func(*pbs.Config)) *scene {
	t.Helper()
	s := &scene{t: t, at: start, takes: map[string]time.Duration{}}
	schema := pbstest.VendorDir()
	if schema == "" {
		t.Log("requests are NOT checked against the vendor's schema: no pbs-api.json (set TRIPLICATE_PROXMOX_API)")
	}
	var err error
	s.server, err = pbstest.New(pbstest.Config{Now: s.now, Schema: schema, Takes: func(kind string) time.Duration {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.takes[kind]
	}})
	s.must(err)
	s.store, err = s.server.AddDatastore(pbstest.Datastore{Name: "backups-vm"})
	s.must(err)
	s.must(s.server.AddToken(token, pbstest.DatastoreAdmin, pbstest.SystemAudit))
	s.must(s.server.Start())
	t.Cleanup(func() {
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
		for _, v := range s.server.Violations() {
			t.Errorf("not the vendor's API: %s", v)
		}
	})
	s.Client = s.client(options...)
	return s
}

func (s *scene) client(options ...func(*pbs.Config)) *pbs.Client {
	s.t.Helper()
	conf := pbs.Config{
		URL:         s.server.URL(),
		Fingerprint: s.server.Fingerprint(),
		Token:       func() (string, error) { return token + "\n", nil },
		Datastore:   "backups-vm",
		Wait: func(ctx context.Context, d time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.waits = append(s.waits, d)
			return ctx.Err()
		},
	}
	for _, o := range options {
		o(&conf)
	}
	c, err := pbs.New(conf)
	s.must(err)
	return c
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *scene) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

// longTasks makes tasks of a type take an hour.
func (s *scene) longTasks(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes[kind] = time.Hour
}

// nights adds a finished backup of the group for each of the last n nights, and
// gives the newest.
func (s *scene) nights(group string, n int) backup.GuestBackup {
	s.t.Helper()
	var b backup.GuestBackup
	for i := n - 1; i >= 0; i-- {
		at := time.Date(2026, 11, 22-i, 1, 0, 3, 0, time.UTC)
		b = backup.GuestBackup{Group: group, Time: at, Finished: true, Size: 4096, Notes: "web " + backup.KeyNote("smith-1")}
		s.must(s.store.Add(b))
	}
	return b
}

// ended asks for a task until it has ended; the clock moves a minute each time.
func (s *scene) ended(id backup.UPID) backup.Task {
	s.t.Helper()
	for range 200 {
		task, err := s.Task(s.t.Context(), id)
		s.must(err)
		if task.Ended() {
			return task
		}
		s.advance(time.Minute)
	}
	s.t.Fatalf("%s does not end", id)
	return backup.Task{}
}

// wantError checks what an error is, and that it holds no secret.
func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
	if got != nil && strings.Contains(got.Error(), secret) {
		t.Errorf("the secret is in the error %v", got)
	}
	if got != nil && strings.Contains(got.Error(), "\n") {
		t.Errorf("an error of several lines: %q", got)
	}
}
