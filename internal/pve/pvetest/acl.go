package pvetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Token is an API token.
type Token struct {
	ID     string // user@realm!name
	Secret string
	// Shared tokens have their user's privileges. Others, as by default, have those
	// that both were given.
	Shared bool
}

// Text is the token as it is sent.
func (t Token) Text() string { return t.ID + "=" + t.Secret }

// DefaultToken is what a cluster without tokens of its own lets in.
var DefaultToken = Token{ID: "triplicate@pve!backup", Secret: "00000000-1111-2222-3333-444444444444"}

// ACL gives privileges on a path and, unless Once, on what is below it. A deeper
// entry for the same user replaces a higher one, as in Proxmox VE.
type ACL struct {
	Path       string
	Who        string // user@realm or user@realm!name
	Privileges []string
	Once       bool
}

// leastPrivileges is what docs tell an operator to give.
func leastPrivileges(tokens []Token) (acl []ACL) {
	for _, t := range tokens {
		user, _, _ := strings.Cut(t.ID, "!")
		for _, who := range []string{user, t.ID} {
			acl = append(acl,
				ACL{Path: "/", Who: who, Privileges: []string{"Sys.Audit"}, Once: true},
				ACL{Path: "/nodes", Who: who, Privileges: []string{"Sys.Audit"}},
				ACL{Path: "/vms", Who: who, Privileges: []string{"VM.Audit", "VM.Backup"}},
				ACL{Path: "/storage", Who: who, Privileges: []string{"Datastore.Audit", "Datastore.AllocateSpace"}})
		}
	}
	return acl
}

// SetACL replaces all privileges.
func (c *Cluster) SetACL(acl ...ACL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acl = acl
}

// Revoke removes a token, or what is left of it.
func (c *Cluster) Revoke(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tokens, id)
}

// Grant adds a token or gives it another secret. Privileges it has by the ACL.
func (c *Cluster) Grant(t Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[t.ID] = t
}

// privileges are those of one user or token by the ACL alone.
func (c *Cluster) privileges(who, path string) map[string]bool {
	have := map[string]bool{}
	prefixes := []string{"/"}
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			prefixes = append(prefixes, path[:i])
		}
	}
	if path != "/" {
		prefixes = append(prefixes, path)
	}
	for _, prefix := range prefixes {
		found := map[string]bool{}
		for _, a := range c.acl {
			if a.Who == who && a.Path == prefix && (!a.Once || prefix == path) {
				for _, p := range a.Privileges {
					found[p] = true
				}
			}
		}
		if len(found) > 0 {
			have = found
		}
	}
	return have
}

// effective are those that a user or token has on a path.
func (c *Cluster) effective(user, path string) map[string]bool {
	owner, _, isToken := strings.Cut(user, "!")
	have := c.privileges(owner, path)
	if t := c.tokens[user]; isToken && !t.Shared {
		own := c.privileges(user, path)
		maps.DeleteFunc(have, func(p string, _ bool) bool { return !own[p] })
	}
	return have
}

// permissions are the caller's own on one path.
func (c *Cluster) permissions(q *query) (any, *refusal) {
	path := q.text("path")
	if path == "" {
		return nil, wrong("path", "the permissions of all paths at once are not simulated")
	}
	have := map[string]int{}
	for p := range c.effective(q.user, path) {
		have[p] = 1
	}
	if len(have) == 0 {
		return map[string]any{}, nil
	}
	return map[string]any{path: have}, nil
}

// may says whether user has any of the privileges on path.
func (c *Cluster) may(user, path string, privileges ...string) bool {
	if user == "root@pam" {
		return true
	}
	have := c.effective(user, path)
	return slices.ContainsFunc(privileges, func(p string) bool { return have[p] })
}

// must is may with the vendor's refusal.
func (c *Cluster) must(user, path string, privileges ...string) *refusal {
	if c.may(user, path, privileges...) {
		return nil
	}
	return &refusal{code: 403, message: fmt.Sprintf("Permission check failed (%s, %s)", path, strings.Join(privileges, "|"))}
}

// authHeader is how Proxmox VE finds the token (PVE/APIServer/Formatter.pm).
var authHeader = regexp.MustCompile(`(?:^|\s)PVEAPIToken(?:=| )([^;]*)`)

// authenticate is the token's ID, or the refusal.
func (c *Cluster) authenticate(header string) (string, *refusal) {
	m := authHeader.FindStringSubmatch(header)
	if m == nil {
		return "", &refusal{code: 401, message: "No ticket"}
	}
	id, secret, _ := strings.Cut(m[1], "=")
	if t, ok := c.tokens[id]; !ok || t.Secret != secret || secret == "" {
		return "", &refusal{code: 401, message: "Authentication failed!"}
	}
	return id, nil
}
