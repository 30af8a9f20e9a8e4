package pve

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"triplicate/internal/backup"
)

// runKey is what a run's key may be. In a notes template, braces and backslashes
// mean something, and HasKey ends a key at a space or quote.
var runKey = regexp.MustCompile(`^[A-Za-z0-9._:/+-]{1,200}$`)

// lockwait is how many minutes a vzdump waits for another one on its node. We run
// one per node, so whoever is in the way is a stranger; without an answer by then
// the guest is tried again later.
const lockwait = 10

// StartDump starts one vzdump task on the guest's node. It needs
// Datastore.AllocateSpace on the storage; VM.Backup on the guest is looked at only
// by the task itself, which then fails. Calling it twice makes two backups.
func (c *Client) StartDump(ctx context.Context, d backup.Dump) (backup.UPID, error) {
	if err := checkGuest(d.Guest); err != nil {
		return "", err
	}
	if err := checkStorage(d.Storage); err != nil {
		return "", err
	}
	if !runKey.MatchString(d.Key) {
		return "", fmt.Errorf("%q is not the key of a run", clip(d.Key, 80))
	}
	b, err := c.begin()
	if err != nil {
		return "", err
	}
	vmid := strconv.Itoa(d.Guest.VMID)
	// All explicit, because what is left out comes from the node's /etc/vzdump.conf.
	// Not bwlimit, ionice and performance, which need Sys.Modify on /, and not
	// prune-backups, which needs Datastore.Allocate.
	form := url.Values{
		"vmid":           {vmid},
		"storage":        {d.Storage},
		"mode":           {"snapshot"},
		"remove":         {"0"}, // Proxmox Backup Server prunes
		"protected":      {"0"},
		"notes-template": {d.Notes()},
		"lockwait":       {strconv.Itoa(lockwait)},
		// No mail for every guest: none at all unless vzdump.conf has a mailto,
		// and then only for one that failed.
		"notification-mode": {"legacy-sendmail"},
		"mailnotification":  {"failure"},
	}
	var answer string
	if err := b.post(ctx, &answer, form, "nodes", d.Guest.Node, "vzdump"); err != nil {
		return "", err
	}
	if answer == "OK" { // instead of a UPID, when none of the guests is there (PVE/API2/VZDump.pm)
		return "", fmt.Errorf("guest %s on %s: %w", d.Guest, d.Guest.Node, backup.ErrGuestMoved)
	}
	t, err := taskOf(backup.UPID(answer))
	if err != nil || t.Type != "vzdump" || t.id != vmid || t.UPID.Node() != d.Guest.Node {
		return "", fmt.Errorf("start vzdump of %s: answer %q: %w", d.Guest, clip(answer, 200), backup.ErrUnclear)
	}
	return t.UPID, nil
}

// maxTasks is asked for in place of Proxmox VE's 50.
const maxTasks = 500

// Dumps lists the vzdump tasks of one guest on one node that started at or after
// since by that node's clock, newest first. A job over several guests is not in it,
// its UPID names none. One that has just ended may be listed as running for some
// seconds; Task knows better. Tasks of others need Sys.Audit on the node.
func (c *Client) Dumps(ctx context.Context, node string, vmid int, since time.Time) ([]backup.Task, error) {
	if err := checkNode(node); err != nil {
		return nil, err
	}
	b, err := c.begin()
	if err != nil {
		return nil, err
	}
	params := url.Values{
		"typefilter": {"vzdump"},
		"vmid":       {strconv.Itoa(vmid)},
		"since":      {strconv.FormatInt(since.Unix(), 10)},
		"limit":      {strconv.Itoa(maxTasks)},
		// Without it running tasks are left out. The server reads the active ones
		// first and the archive then, so one that ends in between is listed twice,
		// never not at all (PVE/API2/Tasks.pm, PVE/RESTEnvironment.pm).
		"source": {"all"},
	}
	var rows []struct {
		UPID, Status word
		Endtime      integer
	}
	if _, err := b.get(ctx, &rows, params, "nodes", node, "tasks"); err != nil {
		return nil, err
	}
	at := map[backup.UPID]int{}
	var tasks []backup.Task
	for _, r := range rows {
		t, err := taskOf(backup.UPID(r.UPID))
		if err != nil {
			return nil, fmt.Errorf("list tasks of %s: %w", node, err)
		}
		if t.Type != "vzdump" || t.id != strconv.Itoa(vmid) || t.UPID.Node() != node || t.Started.Before(since.Truncate(time.Second)) {
			continue
		}
		if r.Endtime == 0 && (r.Status == "RUNNING" || r.Status == "") {
			t.State = backup.TaskRunning
		} else {
			t.Status, t.State = string(r.Status), ended(string(r.Status))
		}
		i, twice := at[t.UPID]
		switch {
		case !twice:
			at[t.UPID] = len(tasks)
			tasks = append(tasks, t.Task)
		case t.Ended():
			tasks[i] = t.Task
		}
	}
	slices.SortStableFunc(tasks, func(a, b backup.Task) int { return b.Started.Compare(a.Started) })
	return tasks, nil
}
