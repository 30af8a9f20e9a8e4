package wire

import (
	"context"
	"encoding/gob"
	"fmt"
	"net"
	"sync"

	"triplicate/internal/backup"
)

// Client is a host in another process. Its methods are those of activities.ZFS.
type Client struct {
	Socket string // path of the Unix socket
}

// dial begins a call.
func (z *Client) dial(ctx context.Context, method string, args ...any) (net.Conn, codec, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", z.Socket)
	if err != nil {
		return nil, codec{}, fmt.Errorf("fake pools: %w", err)
	}
	c := codec{gob.NewEncoder(conn), gob.NewDecoder(conn)}
	err = c.Encode(request{method})
	for _, a := range args {
		if err == nil {
			err = c.Encode(a)
		}
	}
	if err != nil {
		_ = conn.Close()
	}
	return conn, c, err
}

// call makes a call; results are pointers.
func (z *Client) call(ctx context.Context, method string, args []any, results ...any) error {
	conn, c, err := z.dial(ctx, method, args...)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	err = c.result(results...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// result reads a reply.
func (c codec) result(results ...any) error {
	var r reply
	if err := c.Decode(&r); err != nil {
		return fmt.Errorf("fake pools: %w", err)
	}
	if err := r.error(); err != nil {
		return err
	}
	for _, p := range results {
		if err := c.Decode(p); err != nil {
			return fmt.Errorf("fake pools: %w", err)
		}
	}
	return nil
}

// Pools lists the pools.
func (z *Client) Pools(ctx context.Context) (pools []backup.Pool, err error) {
	err = z.call(ctx, "Pools", nil, &pools)
	return pools, err
}

// Datasets lists datasets.
func (z *Client) Datasets(ctx context.Context, roots ...string) (all []backup.Dataset, err error) {
	err = z.call(ctx, "Datasets", []any{roots}, &all)
	return all, err
}

// Points lists snapshots and bookmarks.
func (z *Client) Points(ctx context.Context, roots ...string) (snaps []backup.Snapshot, marks []backup.Bookmark, err error) {
	err = z.call(ctx, "Points", []any{roots}, &snaps, &marks)
	return snaps, marks, err
}

// Exactly sees just these datasets.
func (z *Client) Exactly(ctx context.Context, names ...string) (all []backup.Dataset, snaps []backup.Snapshot, marks []backup.Bookmark, err error) {
	err = z.call(ctx, "Exactly", []any{names}, &all, &snaps, &marks)
	return all, snaps, marks, err
}

// Locals lists what was set on datasets themselves.
func (z *Client) Locals(ctx context.Context, roots ...string) (all map[string]map[string]string, err error) {
	err = z.call(ctx, "Locals", []any{roots}, &all)
	return all, err
}

// Facts reads the slow columns.
func (z *Client) Facts(ctx context.Context, names ...string) (facts []backup.SnapshotFacts, err error) {
	err = z.call(ctx, "Facts", []any{names}, &facts)
	return facts, err
}

// Holds lists holds.
func (z *Client) Holds(ctx context.Context, names ...string) (holds []backup.Hold, err error) {
	err = z.call(ctx, "Holds", []any{names}, &holds)
	return holds, err
}

// Token says what a resume token stands for.
func (z *Client) Token(ctx context.Context, text string) (t backup.Token, err error) {
	err = z.call(ctx, "Token", []any{text}, &t)
	return t, err
}

// Written is what was written since.
func (z *Client) Written(ctx context.Context, to backup.Snapshot, since string) (n int64, err error) {
	err = z.call(ctx, "Written", []any{to, since}, &n)
	return n, err
}

// TakeSnapshots takes all or none.
func (z *Client) TakeSnapshots(ctx context.Context, names []string, props map[string]string) error {
	return z.call(ctx, "TakeSnapshots", []any{names, props})
}

// SetProperties sets user properties.
func (z *Client) SetProperties(ctx context.Context, name string, props map[string]string) error {
	return z.call(ctx, "SetProperties", []any{name, props})
}

// Bookmark makes a bookmark.
func (z *Client) Bookmark(ctx context.Context, s backup.Snapshot, name string) error {
	return z.call(ctx, "Bookmark", []any{s, name})
}

// Hold holds snapshots.
func (z *Client) Hold(ctx context.Context, tag string, names ...string) error {
	return z.call(ctx, "Hold", []any{tag, names})
}

// Release lets go of snapshots.
func (z *Client) Release(ctx context.Context, tag string, names ...string) error {
	return z.call(ctx, "Release", []any{tag, names})
}

// DestroySnapshots destroys a batch or none of it.
func (z *Client) DestroySnapshots(ctx context.Context, ds string, snaps []backup.Snapshot) error {
	return z.call(ctx, "DestroySnapshots", []any{ds, snaps})
}

// DestroyBookmark destroys a bookmark.
func (z *Client) DestroyBookmark(ctx context.Context, b backup.Bookmark) error {
	return z.call(ctx, "DestroyBookmark", []any{b})
}

// Create makes a holder of replicas and its parents.
func (z *Client) Create(ctx context.Context, name string) error {
	return z.call(ctx, "Create", []any{name})
}

// Estimate is the stream's size.
func (z *Client) Estimate(ctx context.Context, t backup.Transfer) (n int64, err error) {
	err = z.call(ctx, "Estimate", []any{t}, &n)
	return n, err
}

// Transfer sends and receives; progress is heard of once, at the end.
func (z *Client) Transfer(ctx context.Context, t backup.Transfer, progress func(int64)) error {
	var sent int64
	err := z.call(ctx, "Transfer", []any{t}, &sent)
	if err == nil && progress != nil {
		progress(sent)
	}
	return err
}

// AbortReceive discards a partial receive.
func (z *Client) AbortReceive(ctx context.Context, target string) error {
	return z.call(ctx, "AbortReceive", []any{target})
}

// MountSnapshot mounts a snapshot until it is unmounted, or this process ends.
func (z *Client) MountSnapshot(ctx context.Context, s backup.Snapshot) (dir string, unmount func() error, err error) {
	conn, c, err := z.dial(ctx, "MountSnapshot", s)
	if err != nil {
		return "", nil, err
	}
	if err := c.result(&dir); err != nil {
		_ = conn.Close()
		return "", nil, err
	}
	return dir, sync.OnceValue(func() error {
		defer func() { _ = conn.Close() }()
		if err := c.Encode(true); err != nil {
			return err
		}
		return c.result()
	}), nil
}

// ReapMounts unmounts what a killed daemon left.
func (z *Client) ReapMounts(ctx context.Context) error { return z.call(ctx, "ReapMounts", nil) }
