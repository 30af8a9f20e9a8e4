package pbstest

import "strings"

// privileges are what the server's own roles hold (pbs-config/src/acl.rs), as far as
// a night needs them.
var privileges = map[Role][]string{
	DatastoreAdmin: {
		"Datastore.Audit", "Datastore.Backup", "Datastore.Modify", "Datastore.Prune", "Datastore.Read", "Datastore.Verify",
	},
	DatastoreAudit:  {"Datastore.Audit"},
	DatastoreBackup: {"Datastore.Backup"},
	SystemAudit:     {"Sys.Audit"},
}

// permissions are the token's own on one path: datastore roles hold on all
// datastores, Audit on /system.
func (s *Server) permissions(c *call) (any, error) {
	path := c.str("path")
	if path == "" {
		return nil, bad("pbstest: the permissions of all paths at once are not simulated")
	}
	found := map[string]bool{}
	for _, role := range c.token.roles {
		if strings.HasPrefix(path, "/datastore/") && role != SystemAudit || path == "/system" && role == SystemAudit {
			for _, p := range privileges[role] {
				found[p] = true
			}
		}
	}
	return map[string]any{path: found}, nil
}
