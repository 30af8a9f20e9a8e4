package pbs

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// Privileges are those that the token itself has on a path of the ACL tree, such as
// /datastore/backups-vm, in order; none is no error. Asking needs no privilege.
func (c *Client) Privileges(ctx context.Context, path string) ([]string, error) {
	// The boolean says whether the privilege propagates.
	paths, err := get[map[string]map[string]bool](ctx, c, "/access/permissions", url.Values{"path": {path}})
	if err != nil {
		return nil, fmt.Errorf("privileges on %s: %w", path, err)
	}
	return slices.Sorted(maps.Keys(paths.Data[path])), nil
}
