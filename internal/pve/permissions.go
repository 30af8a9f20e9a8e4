package pve

import (
	"context"
	"maps"
	"net/url"
	"slices"
)

// Privileges are those that the token itself has on a path of the ACL tree, such as
// /storage/pbs, in order; none is no error. Asking needs no privilege.
func (c *Client) Privileges(ctx context.Context, path string) ([]string, error) {
	b, err := c.begin()
	if err != nil {
		return nil, err
	}
	var paths map[string]map[string]flag // the flag says whether it propagates
	if _, err := b.get(ctx, &paths, url.Values{"path": {path}}, "access", "permissions"); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(paths[path])), nil
}
