package pbs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"triplicate/internal/backup"
)

// outdatedAfter is after how many days a backup that was verified is verified again.
const outdatedAfter = 30

// gcRunning is what the server says to a second garbage collection.
const gcRunning = "garbage collection already running"

// StartGC starts garbage collection, or finds the one that is running. Repeating it
// is harmless: while one runs there is no second.
func (c *Client) StartGC(ctx context.Context) (backup.UPID, error) {
	id, err := c.startGC(ctx)
	if err != nil {
		return "", fmt.Errorf("start garbage collection of %s: %w", c.datastore, err)
	}
	return id, nil
}

func (c *Client) startGC(ctx context.Context) (backup.UPID, error) {
	var refused error
	// Once more after a refusal: the one that ran may have ended before we looked,
	// and what was refused has started nothing.
	for range 2 {
		found, err := c.running(ctx, "garbage_collection")
		if err != nil {
			return "", err
		}
		for _, t := range found {
			if t.Type == "garbage_collection" && t.WorkerID == c.datastore {
				return t.UPID, nil
			}
		}
		id, err := c.start(ctx, c.path("gc"), url.Values{})
		if err == nil || !errors.Is(err, backup.ErrRefused) || !strings.Contains(err.Error(), gcRunning) {
			return id, err
		}
		refused = err
	}
	return "", fmt.Errorf("%w (the token does not see whose: it needs Audit on /system/tasks)", refused)
}

// StartVerify verifies one backup, whatever is known of it, or, with nil, all of
// the namespace that were not verified for 30 days. If the same is being verified
// already it returns that task. Repeating it is harmless, only slow.
func (c *Client) StartVerify(ctx context.Context, b *backup.GuestBackup) (backup.UPID, error) {
	what := c.datastore
	if b != nil {
		what = b.ID()
	}
	id, err := c.startVerify(ctx, b)
	if err != nil {
		return "", fmt.Errorf("start verify of %s: %w", what, err)
	}
	return id, nil
}

func (c *Client) startVerify(ctx context.Context, b *backup.GuestBackup) (backup.UPID, error) {
	form := c.params()
	kind, ids := "verify", c.namespaceIDs()
	if b != nil {
		if err := setGroup(form, b.Group); err != nil {
			return "", err
		}
		form.Set("backup-time", strconv.FormatInt(b.Time.Unix(), 10))
		// Else a backup that verify once found damaged would be passed over.
		form.Set("ignore-verified", "0")
		kind, ids = "verify_snapshot", c.snapshotIDs(*b)
	} else {
		form.Set("ignore-verified", "1")
		form.Set("outdated-after", strconv.Itoa(outdatedAfter))
		form.Set("max-depth", "0") // other namespaces are not ours
	}
	found, err := c.running(ctx, "verify")
	if err != nil {
		return "", err
	}
	for _, t := range found {
		if t.Type == kind && slices.Contains(ids, t.WorkerID) {
			return t.UPID, nil
		}
	}
	return c.start(ctx, c.path("verify"), form)
}

// start posts what starts a task.
func (c *Client) start(ctx context.Context, path string, form url.Values) (backup.UPID, error) {
	id, err := post[backup.UPID](ctx, c, path, form)
	if err != nil {
		return "", err
	}
	if err := checkUPID(id); err != nil {
		return "", fmt.Errorf("%w: %w", backup.ErrUnclear, err) // something was started
	}
	return id, nil
}

// namespaceIDs are the worker IDs that a verify of our namespace may have.
func (c *Client) namespaceIDs() []string {
	if c.namespace == "" {
		return []string{c.datastore}
	}
	return []string{c.datastore + ":" + c.namespace, c.datastore + ":" + c.namespaceFolders()}
}

// snapshotIDs are the worker IDs that a verify of one backup may have: the server
// writes store:/vm/101/6740A1B2 in the root and store:ns/a/vm/101/6740A1B2 below.
func (c *Client) snapshotIDs(b backup.GuestBackup) []string {
	name := fmt.Sprintf("%s/%08X", b.Group, b.Time.Unix())
	if c.namespace == "" {
		return []string{c.datastore + ":/" + name, c.datastore + ":" + name}
	}
	return []string{
		c.datastore + ":" + c.namespaceFolders() + "/" + name,
		c.datastore + ":" + c.namespace + "/" + name,
	}
}

// namespaceFolders is the namespace as its folders are called: ns/a/ns/b for a/b.
func (c *Client) namespaceFolders() string {
	return "ns/" + strings.ReplaceAll(c.namespace, "/", "/ns/")
}
