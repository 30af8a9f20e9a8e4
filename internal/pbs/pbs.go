// Package pbs is a thin client of one datastore of a Proxmox Backup Server: what a
// night asks of it, and nothing else. Reading is tried again, writing never is: a
// write whose answer was lost is backup.ErrUnclear, and the caller looks before it
// asks again. Nothing the server says is taken on trust: answers are bounded, and
// parsed strictly.
package pbs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"triplicate/internal/pin"
	"triplicate/internal/wait"
)

// Config says which datastore, and how the two sides know each other.
type Config struct {
	// URL is where the server's API is, such as https://pbs:8007. Only https: the
	// token travels with each request.
	URL string
	// Fingerprint is the SHA-256 of the server's certificate in hex, as its
	// dashboard shows it. Empty: the system's authorities decide.
	Fingerprint string
	// Token gives the API token, user@realm!name:secret. It is asked anew for each
	// request, so that a token that was replaced needs no restart.
	Token     func() (string, error)
	Datastore string
	Namespace string // empty: the datastore's root
	// Timeout bounds one request; zero means DefaultTimeout.
	Timeout time.Duration
	// Wait waits between two tries at reading; nil waits by the clock.
	Wait func(ctx context.Context, d time.Duration) error
}

// DefaultTimeout is generous: a listing reads the manifest of every backup, from
// disks that may be busy with garbage collection.
const DefaultTimeout = 2 * time.Minute

// Client is one datastore of one server. It implements activities.Datastore and may
// be used by several goroutines.
type Client struct {
	base      string
	http      *http.Client
	token     func() (string, error)
	datastore string
	namespace string
	wait      func(ctx context.Context, d time.Duration) error
}

// What names may look like; the server's own rules (its schema), so that nothing
// else gets into a path or a form.
const safeID = `[A-Za-z0-9_][A-Za-z0-9._\-]*`

var (
	datastoreForm = regexp.MustCompile(`^` + safeID + `$`)
	namespaceForm = regexp.MustCompile(`^(?:` + safeID + `/){0,7}` + safeID + `$`)
	groupForm     = regexp.MustCompile(`^(vm|ct|host)/(` + safeID + `)$`)
)

// New makes a client. It asks the server nothing.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "":
		return nil, errors.New("proxmox backup server: the URL must be https://host:8007")
	case c.Token == nil:
		return nil, errors.New("proxmox backup server: no token")
	case len(c.Datastore) < 3 || len(c.Datastore) > 32 || !datastoreForm.MatchString(c.Datastore):
		return nil, fmt.Errorf("proxmox backup server: %q is not the name of a datastore", c.Datastore)
	case c.Namespace != "" && (len(c.Namespace) > 256 || !namespaceForm.MatchString(c.Namespace)):
		return nil, fmt.Errorf("proxmox backup server: %q is not the name of a namespace", c.Namespace)
	}
	var pins []string
	if c.Fingerprint != "" {
		pins = append(pins, c.Fingerprint)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Wait == nil {
		c.Wait = wait.For
	}
	return &Client{
		base:      strings.TrimSuffix(u.String(), "/") + "/api2/json",
		http:      pin.Client(c.Timeout, pins...),
		token:     c.Token,
		datastore: c.Datastore,
		namespace: c.Namespace,
		wait:      c.Wait,
	}, nil
}

// params starts the parameters of a call that is about our namespace.
func (c *Client) params() url.Values {
	v := url.Values{}
	if c.namespace != "" {
		v.Set("ns", c.namespace)
	}
	return v
}

// path is the API path of something of our datastore.
func (c *Client) path(what string) string {
	return "/admin/datastore/" + url.PathEscape(c.datastore) + "/" + what
}
