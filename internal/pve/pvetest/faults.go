package pvetest

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// Fault is what happens to requests that match it.
type Fault struct {
	Node   string // that was asked; empty: any
	Method string // empty: any
	// Path is a pattern as in path.Match, without /api2/json: /nodes/*/vzdump;
	// empty: any.
	Path  string
	After int // matching requests that are spared first
	Times int // that it happens to; 0: one, -1: all from then on

	// Do happens before the request is looked at: a guest moves, a node goes down.
	Do func(*Cluster)
	// Hold keeps the request until it is closed or the client gives up.
	Hold <-chan struct{}
	// Delay keeps it for so long, of real time.
	Delay time.Duration

	Code     int    // answer with this instead of doing anything: 500, 596 ...
	Reason   string // the status line's text
	Body     string
	Cut      bool // cut the connection instead of doing anything
	CutAfter bool // carry it out, and cut the connection instead of answering
}

type fault struct {
	Fault
	seen int
}

// Fail adds a fault. The first that matches a request takes it.
func (c *Cluster) Fail(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	c.faults = append(c.faults, &fault{Fault: f})
}

// Heal removes all faults of requests.
func (c *Cluster) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

func (c *Cluster) fault(name string, r *http.Request) *fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	rel := strings.TrimPrefix(r.URL.Path, "/api2/json")
	for _, f := range c.faults {
		ok, err := path.Match(f.Path, rel)
		if f.Node != "" && f.Node != name || f.Method != "" && f.Method != r.Method || f.Path != "" && (err != nil || !ok) {
			continue
		}
		f.seen++
		if n := f.seen - f.After; n > 0 && (f.Times < 0 || n <= f.Times) {
			return f
		}
	}
	return nil
}

// wait returns when the request may go on, or its client has gone.
func (f *fault) wait(ctx context.Context) {
	if f.Hold == nil && f.Delay == 0 {
		return
	}
	var timer <-chan time.Time
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-f.Hold:
	case <-timer:
	}
}

// answer is the body: that of the fault, or what the vendor has beside a reason.
func (f *fault) answer() []byte {
	if f.Body != "" || f.Reason == "" || f.Code >= 595 {
		return []byte(f.Body)
	}
	return encode(nil, 0, &refusal{message: f.Reason})
}

// Down switches a node off: its tasks are lost, their guests stay locked, nobody
// reaches it.
func (c *Cluster) Down(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	n := c.node(name)
	n.down = true
	n.queue = nil
	for _, t := range slices.Clone(n.active) {
		c.kill(t, c.now())
	}
	n.cut()
}

// Up switches a node on again.
func (c *Cluster) Up(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node(name).down = false
}

// Reboot is Down and Up.
func (c *Cluster) Reboot(name string) {
	c.Down(name)
	c.Up(name)
}

// SetQuorate takes the cluster's quorum away, or gives it back. Without it a
// vzdump starts and fails, because the guest cannot be locked.
func (c *Cluster) SetQuorate(quorate bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quorate = quorate
}

// Lock locks a guest, or with an empty lock unlocks it, as a person might.
func (c *Cluster) Lock(vmid int, lock string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests[vmid].Lock = lock
}

// Move migrates a guest to another node.
func (c *Cluster) Move(vmid int, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guests[vmid].Node = to
}

// Remove destroys a guest.
func (c *Cluster) Remove(vmid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.guests, vmid)
}

// SetStorage changes the entry of a storage.
func (c *Cluster) SetStorage(name string, change func(*Storage)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.storage(name); s != nil {
		change(s)
	}
}

// Renew gives a node another certificate, and cuts its connections.
func (c *Cluster) Renew(name string) error {
	cert, err := newCertificate(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.node(name)
	n.cert = cert
	n.cut()
	return nil
}

// Kill is kill -9 of a running task.
func (c *Cluster) Kill(id backup.UPID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	if t := c.tasks[id]; t != nil && t.ended.IsZero() {
		c.kill(t, c.now())
	}
}
