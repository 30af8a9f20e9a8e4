// Package pve is a thin client of Proxmox VE: the dozen calls that a night needs.
// It knows what the servers do beside what their schema says: a task list that
// leaves out what is running, an OK where a UPID should be, errors in the status
// line, and a POST whose answer is lost on the way through another node.
package pve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pin"
	"triplicate/internal/wait"
)

// Config says where a cluster is and how to get in.
type Config struct {
	// URLs are the nodes' addresses, such as https://smith:8006, the favourite
	// first. Any node answers for all of them.
	URLs []string
	// Fingerprints are the SHA-256 fingerprints of the nodes' certificates, one or
	// several per node; none: the system's authorities decide.
	Fingerprints []string
	// Token gives the API token, user@realm!name=secret. It is asked anew for each
	// call of the client, so that a file with it can be replaced.
	Token func() (string, error)
	// Timeout bounds one request; 0: DefaultTimeout.
	Timeout time.Duration
	// Tries bounds how often a reading request is sent; 0: DefaultTries. Every URL
	// is tried once in any case.
	Tries int
	// Wait passes the time between two tries; nil: a timer. It returns early with
	// an error when the context ends.
	Wait func(context.Context, time.Duration) error
}

// A node waits 30 s for the node that it passes a request on to
// (PVE/APIServer/AnyEvent.pm), so less would give up on answers that come.
const (
	DefaultTimeout = 45 * time.Second
	DefaultTries   = 4
)

// Client talks to one cluster. It may be used by several goroutines.
type Client struct {
	urls  []string
	token func() (string, error)
	tries int
	wait  func(context.Context, time.Duration) error
	read  *http.Client
	// write never reuses a connection. Proxmox VE closes idle ones after seconds,
	// and a POST that meets a closing one is a POST whose answer is lost.
	write *http.Client
	// first is the index of the URL that answered last.
	first atomic.Int64
}

// New makes a client; nothing is sent yet. URLs must be https, because the token
// goes with every request.
func New(cfg Config) (*Client, error) {
	c := &Client{token: cfg.Token, tries: cfg.Tries, wait: cfg.Wait}
	for i, text := range cfg.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("proxmox url %d: want https://name:8006", i+1) // not the text: people write passwords there
		}
		c.urls = append(c.urls, "https://"+u.Host+"/api2/json")
	}
	if len(c.urls) == 0 || c.token == nil {
		return nil, errors.New("proxmox: no url or no token")
	}
	if c.tries <= 0 {
		c.tries = DefaultTries
	}
	if c.wait == nil {
		c.wait = wait.For
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	c.read, c.write = pin.Client(timeout, cfg.Fingerprints...), pin.Client(timeout, cfg.Fingerprints...)
	if t, ok := c.write.Transport.(*http.Transport); ok {
		t.DisableKeepAlives = true
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.read.CloseIdleConnections() }

// What may stand in a path or parameter (PVE/JSONSchema.pm). Values from answers
// go through the same checks: an answer must not choose what is asked next.
var (
	tokenText   = regexp.MustCompile(`^[^\s:/@!=;]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+=[\x21-\x3a\x3c-\x7e]+$`)
	nodeName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	storageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,98}[A-Za-z0-9]$`)
)

func checkNode(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a node", clip(name, 80))
	}
	return nil
}

func checkStorage(name string) error {
	if !storageName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a storage", clip(name, 80))
	}
	return nil
}

func checkGuest(g backup.Guest) error {
	if g.VMID < 100 || g.VMID > 999999999 {
		return fmt.Errorf("%d is not a vmid", g.VMID)
	}
	if g.Type != backup.VM && g.Type != backup.Container {
		return fmt.Errorf("guest %d: %q is not a kind of guest", g.VMID, clip(string(g.Type), 80))
	}
	return checkNode(g.Node)
}
