package pvetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Request is an entry of the journal. Secrets are not in it.
type Request struct {
	At     time.Time
	Node   string // that was asked
	Method string
	Path   string // without /api2/json
	Form   map[string][]string
	Token  string // ID; empty: not let in
	Code   int    // of the answer; -1: none
	From   string // the client's end of the connection
}

// String is the request on one line.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s", r.At.UTC().Format(time.RFC3339), r.Node, r.Method, r.Path)
	for _, key := range slices.Sorted(maps.Keys(r.Form)) {
		fmt.Fprintf(&b, " %s=%q", key, r.Form[key])
	}
	fmt.Fprintf(&b, " -> %d", r.Code)
	return b.String()
}

// Journal is every request so far.
func (c *Cluster) Journal() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.journal)
}

// Count is how many requests so far had this method and a path that the regular
// expression matches.
func (c *Cluster) Count(method, path string) (n int) {
	re := regexp.MustCompile(path)
	for _, r := range c.Journal() {
		if r.Method == method && re.MatchString(r.Path) {
			n++
		}
	}
	return n
}

// Violations is what no client may ever do, and was done: a second vzdump for one
// guest and run key while the first runs or after it succeeded, stop=1, unlocking,
// requests that are not in the API or do not fit its schema. An answer of the
// simulator that does not fit is one too. Tests end with it.
func (c *Cluster) Violations() []string {
	list := slices.Clone(c.wrongsSoFar())
	for _, r := range c.Journal() {
		form := fmt.Sprint(r.Form)
		switch {
		case strings.Contains(form, "stop:[1]"):
			list = append(list, "stop=1 kills vzdumps of others: "+r.String())
		case strings.Contains(form, "skiplock:[1]"), strings.HasSuffix(r.Path, "/unlock"), r.Method == "PUT" && slices.Contains(r.Form["delete"], "lock"):
			list = append(list, "a guest is unlocked: "+r.String())
		}
	}
	return list
}

func (c *Cluster) wrongsSoFar() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrongs
}

// noteKey is a run's key in notes: name=value at their end.
var noteKey = regexp.MustCompile(`([a-z][a-z0-9-]*-run=[^\s'"]+)`)

// checkTwice notes a vzdump that should not have been asked for.
func (c *Cluster) checkTwice(n *node, notes string, vmids []int) {
	key := noteKey.FindString(notes)
	if key == "" {
		return
	}
	for _, t := range c.tasks {
		if t.dump == nil || noteKey.FindString(t.dump.params["notes-template"]) != key {
			continue
		}
		good := t.ended.IsZero() || t.status == "OK" || strings.HasPrefix(t.status, "WARNINGS: ")
		for _, vmid := range vmids {
			if good && slices.Contains(t.dump.vmids, vmid) {
				c.wrongs = append(c.wrongs, fmt.Sprintf("a second vzdump of %d with %s on %s; the first is %s", vmid, key, n.name, t.upid))
			}
		}
	}
}
