// Package pbstest is a Proxmox Backup Server in memory: its API as far as a night
// needs it, with the vendor's task lists, plain-text errors, prune rule and garbage
// collection. Time is an injected clock; nothing here sleeps. Given the vendor's
// schema it checks every request, and every answer of its own, against it.
//
// What is simulated follows what the server does where that differs from its
// schema (its sources, 3.2 to 4.2). The texts of parameter errors are the vendor's
// only where they are known; file names and places in a datastore's folder are its
// own, the formats inside the files are not.
package pbstest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"triplicate/internal/backup"
)

// Config is what a server is like. The zero value will do.
type Config struct {
	Now  func() time.Time // nil: the machine's clock
	Zone *time.Location   // the server's local zone; nil: UTC
	Node string           // the host name in its UPIDs; empty: pbs
	// Schema is the folder with the vendor's pbs-api.json. Empty: requests are
	// not checked against it.
	Schema string
	// Takes says how long a task of a type (garbage_collection, verify_snapshot
	// ...) runs on the clock; nil: it has ended when next looked at.
	Takes func(kind string) time.Duration
	// Delay is called for each refused token, as the real server takes 3 seconds
	// over it; nil: no delay.
	Delay func()
}

// Server is a Proxmox Backup Server. It is an http.Handler and may be used by
// several goroutines.
type Server struct {
	conf   Config
	mux    *http.ServeMux
	schema *schema

	mu         sync.Mutex
	stores     []*datastore
	tokens     []*token
	tasks      []*task // in the order of their starts
	hanging    []string
	jobs       map[string][]Job // by kind: prune, verify, sync
	faults     []*Fault
	journal    []Request
	violations []string
	down       bool
	wire       wire
}

// New makes a server without datastores and tokens.
func New(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Node == "" {
		c.Node = "pbs"
	}
	if c.Takes == nil {
		c.Takes = func(string) time.Duration { return 0 }
	}
	if c.Delay == nil {
		c.Delay = func() {}
	}
	s := &Server{conf: c, jobs: map[string][]Job{}}
	if c.Schema != "" {
		var err error
		if s.schema, err = loadSchema(c.Schema); err != nil {
			return nil, fmt.Errorf("pbstest: %w", err)
		}
	}
	s.mux = http.NewServeMux()
	for _, r := range s.routes() {
		if s.schema != nil && !s.schema.has(r.method, r.path) {
			return nil, fmt.Errorf("pbstest: the vendor's schema has no %s %s", r.method, r.path)
		}
		s.mux.Handle(r.method+" "+base+r.path, r)
	}
	return s, s.Renew()
}

// Datastore describes a datastore to add.
type Datastore struct {
	Name string
	// Dir is a folder for a miniature of the datastore's real files; empty: none
	// are written. What is in it already is not read.
	Dir        string
	Size       int64 // bytes; zero: 4 TiB
	GCSchedule string
}

// AddDatastore adds a datastore and gives its root namespace.
func (s *Server) AddDatastore(d Datastore) (*Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store(d.Name) != nil {
		return nil, fmt.Errorf("pbstest: datastore %s is there already", d.Name)
	}
	if d.Size == 0 {
		d.Size = 4 << 40
	}
	ds := &datastore{Datastore: d, chunks: map[digest]*chunk{}, disks: map[string][]int{}}
	if err := ds.makeDir(); err != nil {
		return nil, fmt.Errorf("pbstest: %w", err)
	}
	s.stores = append(s.stores, ds)
	return &Store{server: s, data: ds}, nil
}

func (s *Server) store(name string) *datastore {
	for _, d := range s.stores {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Role is what a token may do.
type Role string

// The roles there are: three of the server's own on all datastores, and Audit on
// /system, which shows the tasks of others.
const (
	DatastoreAdmin  Role = "DatastoreAdmin"
	DatastoreAudit  Role = "DatastoreAudit"
	DatastoreBackup Role = "DatastoreBackup"
	SystemAudit     Role = "Audit"
)

type token struct {
	id, secret string // user@realm!name, and what follows the colon
	roles      []Role
}

// AddToken lets a token in: user@realm!name:secret.
func (s *Server) AddToken(text string, roles ...Role) error {
	id, secret, ok := strings.Cut(text, ":")
	if !ok || secret == "" || !strings.Contains(id, "!") {
		return errors.New("pbstest: a token is user@realm!name:secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, &token{id, secret, roles})
	return nil
}

// RevokeToken shuts a token out, by its user@realm!name.
func (s *Server) RevokeToken(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = slices.DeleteFunc(s.tokens, func(t *token) bool { return t.id == id })
}

// Job is one of the server's own timers: a prune, verify or sync job.
type Job struct {
	ID       string
	Store    string
	Schedule string
	Disable  bool
}

// AddJob adds a timer of a kind: prune, verify or sync. It is shown, and never
// runs by itself; RunTask plays one that does.
func (s *Server) AddJob(kind string, j Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[kind] = append(s.jobs[kind], j)
}

// SetDown stops the server's daemon, as a kill -9 or a lost host does, or starts it
// again. What ran is lost: its tasks end as unknown, and half backups stay behind.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.settle()
	for _, t := range s.tasks {
		if down && t.running() {
			t.end(s.now(), "unknown")
		}
	}
	s.down = down
	s.mu.Unlock()
	if down {
		s.wire.closeAll()
	}
}

func (s *Server) now() time.Time { return s.conf.Now().Truncate(time.Second) }

// errDown is how a client of a stopped server fails.
var errDown = fmt.Errorf("connect to port 8007: connection refused: %w", backup.ErrUnreachable)
