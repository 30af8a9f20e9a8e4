// Package pvetest simulates a Proxmox VE cluster: a TLS server per node over one
// state, on a clock that tests move. It does what the servers do, not what their
// schema says: running tasks are missing from lists, a guest that has moved gets an
// OK, errors stand in the status line. Faults come by script; every request is
// checked against the vendor's schema where that is at hand, and kept in a journal.
package pvetest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
)

// Config is a cluster. The zero value has one node, smith, no guests and a storage
// pbs-smith on Proxmox Backup Server.
type Config struct {
	Nodes    []string // names; the first is what URLs()[0] is
	Guests   []Guest
	Storages []Storage // none: pbs-smith and the zfspool nvme on nvme/vm
	Tokens   []Token   // none: DefaultToken
	// ACL gives users and tokens their privileges; nil: every token and its user
	// have what a backup needs and no more.
	ACL  []ACL
	Jobs []Job // Proxmox VE's own

	// Now is the clock; nil: one that stands at Start and moves by Advance and Tick
	// only. Speed makes it faster (60: an hour in a minute); 0: as it is.
	Now   func() time.Time
	Speed float64
	Start time.Time
	// Tick passes at every request, so that whoever polls sees progress.
	Tick time.Duration
	Zone *time.Location // of the nodes; nil: UTC
	// Rate is how much a backup reads, bytes a second; 0: 200 MiB/s.
	Rate int64

	// Schema is the folder with the vendor's pve-api.json and pve-formats.json;
	// empty: only names of parameters are checked. See SchemaDir.
	Schema string

	// Begin is asked when a backup connects to Proxmox Backup Server, Save gets it
	// when it is whole, Abort hears of one that will not be. An error of Begin fails
	// the vzdump as Proxmox VE fails then: at once and as a whole if it is
	// ErrUnreachable, else with its text as the server's. They may ask for Time and nothing else.
	Begin func(group string, at time.Time) error
	Save  func(backup.GuestBackup) error
	Abort func(group string, at time.Time)
	Owner string // of the backups; empty: pve@pbs!backup
}

// Guest is a VM or container. What is zero gets a default.
type Guest struct {
	VMID     int
	Type     backup.GuestType // VM
	Name     string
	Node     string // the first
	Stopped  bool
	Template bool
	Lock     string
	// Config are lines of its configuration: scsi0, mp0, bios ...
	Config map[string]string
	Size   int64 // bytes that a first backup reads; 32 GiB
	Dirty  int64 // bytes that a later one reads; 1 GiB
}

// Storage is an entry of storage.cfg.
type Storage struct {
	Name, Type           string // Type: pbs
	Datastore, Namespace string
	Pool                 string // of a zfspool
	Prune                string // prune-backups; empty: keep-all=1
	Disabled             bool
	Down                 []string // nodes on which it is not active
}

// Job is a backup job of Proxmox VE itself.
type Job struct {
	ID, Storage string
	Disabled    bool
}

// Cluster is a running simulation. It may be used by several goroutines.
type Cluster struct {
	cfg    Config
	schema *schema
	routes []route

	anchor time.Time    // the clock's time when the simulation began
	added  atomic.Int64 // what Advance and Tick made of it, nanoseconds

	mu       sync.Mutex
	nodes    []*node
	guests   map[int]*guest
	storages []Storage
	tokens   map[string]Token
	acl      []ACL
	quorate  bool
	serial   int
	tasks    map[backup.UPID]*task
	faults   []*fault
	next     map[int]Outcome
	saved    []backup.GuestBackup
	journal  []Request
	wrongs   []string

	serving sync.WaitGroup
}

type node struct {
	name     string
	down     bool
	lock     *task   // has the vzdump lock
	queue    []*task // wait for it
	active   []*task
	archive  [2][]*task // index and index.1, oldest first
	pid      int
	cert     *certificate
	listener net.Listener
	server   *http.Server
	conns    map[net.Conn]bool
}

type guest struct {
	Guest
	saved bool // has a backup, so that the next is incremental
}

// New makes a cluster; nothing listens yet.
func New(cfg Config) (*Cluster, error) {
	if len(cfg.Nodes) == 0 {
		cfg.Nodes = []string{"smith"}
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	}
	if cfg.Now == nil {
		start := cfg.Start
		cfg.Now, cfg.Speed = func() time.Time { return start }, 0
	}
	if cfg.Storages == nil {
		cfg.Storages = []Storage{
			{Name: "nvme", Type: "zfspool", Pool: "nvme/vm"},
			{Name: "pbs-smith", Type: "pbs", Datastore: "backups-vm"},
		}
	}
	if cfg.Tokens == nil {
		cfg.Tokens = []Token{DefaultToken}
	}
	if cfg.ACL == nil {
		cfg.ACL = leastPrivileges(cfg.Tokens)
	}
	if cfg.Rate == 0 {
		cfg.Rate = 200 << 20
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Owner == "" {
		cfg.Owner = "pve@pbs!backup"
	}
	c := &Cluster{
		cfg: cfg, anchor: cfg.Now(), guests: map[int]*guest{}, storages: slices.Clone(cfg.Storages), tokens: map[string]Token{},
		acl: cfg.ACL, quorate: true, tasks: map[backup.UPID]*task{}, next: map[int]Outcome{},
	}
	c.routes = c.table()
	for _, t := range cfg.Tokens {
		c.tokens[t.ID] = t
	}
	for i, name := range cfg.Nodes {
		n := &node{name: name, pid: 1000 * (i + 1), conns: map[net.Conn]bool{}}
		var err error
		if n.cert, err = newCertificate(name); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	var err error
	if cfg.Schema != "" {
		if c.schema, err = loadSchema(cfg.Schema); err != nil {
			return nil, err
		}
	}
	for _, g := range cfg.Guests {
		err = errors.Join(err, c.AddGuest(g))
	}
	return c, err
}

// AddGuest adds a guest to its node.
func (c *Cluster) AddGuest(g Guest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.Type == "" {
		g.Type = backup.VM
	}
	if g.Node == "" {
		g.Node = c.nodes[0].name
	}
	if g.Size == 0 {
		g.Size = 32 << 30
	}
	if g.Dirty == 0 {
		g.Dirty = 1 << 30
	}
	if g.Config == nil && g.Type == backup.VM {
		g.Config = map[string]string{"scsi0": fmt.Sprintf("nvme:vm-%d-disk-0,size=32G", g.VMID)}
	}
	if g.Config == nil {
		g.Config = map[string]string{"rootfs": fmt.Sprintf("nvme:subvol-%d-disk-0,size=32G", g.VMID)}
	}
	g.Config = maps.Clone(g.Config)
	if c.node(g.Node) == nil || g.VMID < 100 || c.guests[g.VMID] != nil {
		return fmt.Errorf("guest %d: no node %s, not a vmid, or taken", g.VMID, g.Node)
	}
	c.guests[g.VMID] = &guest{Guest: g}
	return nil
}

// Backups are the backups that were saved so far.
func (c *Cluster) Backups() []backup.GuestBackup {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.saved)
}

func (c *Cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (c *Cluster) storage(name string) *Storage {
	for i := range c.storages {
		if c.storages[i].Name == name {
			return &c.storages[i]
		}
	}
	return nil
}

// Time is what the nodes' clocks show. Hooks may ask for it.
func (c *Cluster) Time() time.Time { return c.now() }

func (c *Cluster) now() time.Time {
	now := c.cfg.Now()
	if c.cfg.Speed > 0 {
		now = c.anchor.Add(time.Duration(float64(now.Sub(c.anchor)) * c.cfg.Speed))
	}
	return now.Add(time.Duration(c.added.Load()))
}

// Advance moves the clocks, and everything that happens until then happens.
func (c *Cluster) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added.Add(int64(d))
	c.settle()
}

// settle carries out what is due, in order of time.
func (c *Cluster) settle() {
	now := c.now()
	for {
		var first *task
		for _, n := range c.nodes {
			for _, t := range n.active {
				if len(t.steps) > 0 && (first == nil || t.steps[0].at.Before(first.steps[0].at)) {
					first = t
				}
			}
		}
		if first == nil || first.steps[0].at.After(now) {
			return
		}
		step := first.steps[0]
		first.steps = first.steps[1:]
		step.do(step.at)
	}
}
