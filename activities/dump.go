package activities

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"triplicate/internal/backup"
)

// vzdump is not idempotent: asked twice, it makes two backups. So StartDump looks
// for what an earlier try of the same run may have started, by the run's key,
// which stands in the notes of the backup and in the first line of the task's
// log; and after a try whose answer was lost it looks for a whole minute.
const (
	searchFor   = time.Minute
	searchEvery = 5 * time.Second
	// pollFirst and pollMax are how often a running task is looked at.
	pollFirst = time.Second
	pollMax   = 5 * time.Second
	// stallAfter: a task whose log says nothing for so long hangs. A VM's backup
	// of a large disk may be silent for long, a container's says something every
	// minute (lxc/vzdump logs "processed ..." once a minute).
	stallAfter = 6 * time.Hour
)

// StartDumpParams names a guest and the run.
type StartDumpParams struct {
	VMID  int       `json:"vmid"`
	Key   string    `json:"key"`   // of this run and try; the mark that is looked for
	Since time.Time `json:"since"` // when the run began: older tasks are not looked at
}

// StartDumpResult says what runs, or what is there already.
type StartDumpResult struct {
	UPID   backup.UPID `json:"upid,omitempty"`
	Backup string      `json:"backup,omitempty"` // set when the backup is finished already
	Found  bool        `json:"found,omitempty"`  // an earlier try had started it
}

// StartDump finds this run's backup of a guest or starts it. It may be repeated
// from any point.
func (a *Guests) StartDump(ctx context.Context, p StartDumpParams) (StartDumpResult, error) {
	defer beat(ctx, func() any { return nil })()
	if p.Key == "" {
		return StartDumpResult{}, failure(fmt.Errorf("a dump without a key: %w", ErrNotConfigured))
	}
	g, nodes, err := a.guest(ctx, p.VMID)
	if err != nil {
		return StartDumpResult{}, failure(err)
	}
	again := activity.IsActivity(ctx) && activity.GetInfo(ctx).Attempt > 1
	res, found, err := a.findDump(ctx, g, nodes, p)
	for waited := time.Duration(0); again && err == nil && !found && waited < searchFor; waited += searchEvery {
		if err = a.Wait(ctx, searchEvery); err == nil {
			res, found, err = a.findDump(ctx, g, nodes, p)
		}
	}
	if err != nil || found {
		return res, failure(err)
	}
	for range 3 { // a guest that moves between the list and the request
		res.UPID, err = a.PVE.StartDump(ctx, backup.Dump{Guest: g, Storage: a.Policy.Proxmox.Storage, Key: p.Key})
		if !errors.Is(err, backup.ErrGuestMoved) {
			break
		}
		if g, _, err = a.guest(ctx, p.VMID); err != nil {
			return res, failure(err)
		}
	}
	if err != nil {
		return res, failure(fmt.Errorf("back up guest %s: %w", g, err))
	}
	logInfo(ctx, "dump started", "vmid", p.VMID, "node", g.Node, "upid", res.UPID)
	return res, nil
}

// findDump looks for this run's backup: first finished on Proxmox Backup Server,
// then as a task on any node, for the guest may have moved.
func (a *Guests) findDump(ctx context.Context, g backup.Guest, nodes []string, p StartDumpParams) (StartDumpResult, bool, error) {
	backups, err := a.PBS.Backups(ctx, g.Group())
	if err != nil {
		return StartDumpResult{}, false, fmt.Errorf("list backups of %s: %w", g.Group(), err)
	}
	for _, b := range backups {
		if b.Finished && backup.HasKey(b.Notes, p.Key) {
			return StartDumpResult{Backup: b.ID(), Found: true}, true, nil
		}
	}
	for _, node := range nodes {
		tasks, err := a.PVE.Dumps(ctx, node, g.VMID, p.Since)
		if err != nil && node == g.Node {
			return StartDumpResult{}, false, fmt.Errorf("list tasks of %s: %w", node, err)
		}
		for _, t := range tasks {
			log, err := a.PVE.TaskLog(ctx, t.UPID, 0)
			if err != nil {
				return StartDumpResult{}, false, fmt.Errorf("read the log of %s: %w", t.UPID, err)
			}
			for _, line := range log.Lines[:min(3, len(log.Lines))] {
				if backup.HasKey(line, p.Key) {
					return StartDumpResult{UPID: t.UPID, Found: true}, true, nil
				}
			}
		}
	}
	return StartDumpResult{}, false, nil
}

// AwaitDumpParams names a task.
type AwaitDumpParams struct {
	VMID int         `json:"vmid"`
	UPID backup.UPID `json:"upid"`
}

// DumpEnd is how a dump ended.
type DumpEnd struct {
	State    backup.TaskState `json:"state"`
	Status   string           `json:"status"`             // the server's word
	Backup   string           `json:"backup,omitempty"`   // as the log names it: vm/101/2026-...
	Bytes    int64            `json:"bytes,omitempty"`    // transferred
	Reused   float64          `json:"reused,omitempty"`   // percent that was there already
	Warnings []string         `json:"warnings,omitempty"` // the first few
	Failure  string           `json:"failure,omitempty"`  // what the log says of it
	Stalled  bool             `json:"stalled,omitempty"`  // it still runs but says nothing
}

// DumpProgress is the heartbeat of AwaitDump.
type DumpProgress struct {
	VMID    int   `json:"vmid"`
	Line    int   `json:"line"` // lines of the log read so far
	Percent int   `json:"percent,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
}

// AwaitDump follows a dump to its end. When it is cancelled, it stops the task and
// waits until it is gone: a backup that nobody waits for would hold the node's
// lock. Repeated, it reads the log from the beginning again.
func (a *Guests) AwaitDump(ctx context.Context, p AwaitDumpParams) (DumpEnd, error) {
	var log backup.DumpLog
	var progress atomic.Pointer[DumpProgress]
	progress.Store(&DumpProgress{VMID: p.VMID})
	defer beat(ctx, func() any { return progress.Load() })()
	next, every, lastNews := 0, pollFirst, a.Now()
	for {
		task, err := a.PVE.Task(ctx, p.UPID)
		if err == nil {
			var part backup.TaskLog
			for part, err = a.PVE.TaskLog(ctx, p.UPID, next); err == nil && len(part.Lines) > 0; part, err = a.PVE.TaskLog(ctx, p.UPID, next) {
				log.Add(part.Lines...)
				next, every, lastNews = part.Next, pollFirst, a.Now()
				if next >= part.Total {
					break
				}
			}
		}
		switch {
		case ctx.Err() != nil:
			return DumpEnd{}, a.stopDump(ctx, p.UPID)
		case err != nil:
			return DumpEnd{}, failure(fmt.Errorf("follow %s: %w", p.UPID, err))
		}
		progress.Store(&DumpProgress{VMID: p.VMID, Line: next, Percent: log.Percent, Bytes: log.Bytes})
		if task.Ended() {
			return dumpEnd(task, log), nil
		}
		if a.Now().Sub(lastNews) > stallAfter {
			end := dumpEnd(task, log)
			end.Stalled = true
			return end, nil
		}
		if err := a.Wait(ctx, every); err != nil {
			return DumpEnd{}, a.stopDump(ctx, p.UPID)
		}
		every = min(every*2, pollMax)
	}
}

// stopDump ends a cancelled dump. The context is over, so it uses one of its own.
func (a *Guests) stopDump(ctx context.Context, id backup.UPID) error {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if activity.IsActivity(ctx) && errors.Is(context.Cause(ctx), context.Canceled) && workerStops(ctx) {
		return ctx.Err() // the daemon ends, the backup goes on: the next try finds it
	}
	if err := a.PVE.StopTask(stopCtx, id); err != nil {
		return failure(fmt.Errorf("stop %s: %w", id, err))
	}
	for {
		task, err := a.PVE.Task(stopCtx, id)
		if err != nil || task.Ended() {
			return ctx.Err()
		}
		if err := a.Wait(stopCtx, pollFirst); err != nil {
			return ctx.Err()
		}
	}
}

// workerStops says whether the worker is being stopped, as opposed to the
// activity being cancelled.
func workerStops(ctx context.Context) bool {
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return true
	default:
		return false
	}
}

func dumpEnd(t backup.Task, log backup.DumpLog) DumpEnd {
	return DumpEnd{
		State: t.State, Status: short(t.Status), Backup: log.Snapshot, Bytes: log.Bytes, Reused: log.Reused,
		Warnings: log.Warnings[:min(5, len(log.Warnings))], Failure: short(log.Failed),
	}
}

// short bounds a text of the server's for history.
func short(s string) string {
	if len(s) > 300 {
		return s[:296] + " ..."
	}
	return s
}

// ConfirmDumpParams names a backup that should be there.
type ConfirmDumpParams struct {
	VMID   int    `json:"vmid"`
	Backup string `json:"backup,omitempty"` // as the log named it; empty: found by the key
	Key    string `json:"key"`
}

// DumpProof is what Proxmox Backup Server says of the backup.
type DumpProof struct {
	Backup string `json:"backup"`
	Size   int64  `json:"size"`
	Wrong  string `json:"wrong,omitempty"` // empty: it is there and finished
}

// ConfirmDump looks for the backup where it should be: a task that ended well is
// not yet a backup.
func (a *Guests) ConfirmDump(ctx context.Context, p ConfirmDumpParams) (DumpProof, error) {
	defer beat(ctx, func() any { return nil })()
	g, _, err := a.guest(ctx, p.VMID)
	if err != nil {
		return DumpProof{}, failure(err)
	}
	backups, err := a.PBS.Backups(ctx, g.Group())
	if err != nil {
		return DumpProof{}, failure(fmt.Errorf("list backups of %s: %w", g.Group(), err))
	}
	var found *backup.GuestBackup
	for i, b := range backups {
		if p.Backup != "" && b.ID() == p.Backup || backup.HasKey(b.Notes, p.Key) {
			found = &backups[i]
		}
	}
	proof := DumpProof{Wrong: backup.CheckDump(found)}
	if found != nil {
		proof.Backup, proof.Size = found.ID(), found.Size
	}
	return proof, nil
}
