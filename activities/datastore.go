package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
)

// verifyBound is how long pruning waits for the verification of the new backups.
// A first verification of a big datastore takes days; prune does not need to
// wait that long, for it leaves a group alone whose newest backup is known bad.
const verifyBound = 4 * time.Hour

// DatastoreParams is empty: the config names the datastore.
type DatastoreParams struct{}

// DatastoreResult is what a step on the datastore did.
type DatastoreResult struct {
	Summary string `json:"summary"`
	Items   []Item `json:"items,omitempty"` // what did not go well
}

// TaskProgress is the heartbeat of a step that follows a task of the datastore.
type TaskProgress struct {
	UPID backup.UPID `json:"upid"`
	Last string      `json:"last,omitempty"` // line of its log
}

// VerifyDatastore verifies what was not verified yet, or not for 30 days. It finds
// a verification that runs already. Bad backups are items; the step itself fails
// only if the server cannot be asked.
func (a *Guests) VerifyDatastore(ctx context.Context, _ DatastoreParams) (DatastoreResult, error) {
	id, err := a.PBS.StartVerify(ctx, nil)
	if err != nil {
		return DatastoreResult{}, failure(fmt.Errorf("verify: %w", err))
	}
	task, err := a.followTask(ctx, id, verifyBound)
	if err != nil {
		return DatastoreResult{}, failure(fmt.Errorf("verify: %w", err))
	}
	res := DatastoreResult{Summary: "verified"}
	if !task.Ended() {
		res.Summary = "verification goes on"
		res.Items = append(res.Items, Item{
			Name: "verify", Outcome: backup.Warning,
			Detail: fmt.Sprintf("still running after %s; it goes on by itself (%s)", verifyBound, id),
		})
	}
	bad, err := a.badBackups(ctx)
	if err != nil {
		return res, failure(fmt.Errorf("verify: %w", err))
	}
	for _, id := range bad {
		res.Items = append(res.Items, Item{
			Name: id, Outcome: backup.Failed,
			Detail: "its verification failed: the backup is damaged; the next one of this guest writes the bad chunks again",
		})
	}
	if len(bad) == 0 && task.Ended() && task.State != backup.TaskOK {
		res.Items = append(res.Items, Item{Name: "verify", Outcome: backup.Warning, Detail: "verification ended with: " + short(task.Status)})
	}
	return res, nil
}

func (a *Guests) badBackups(ctx context.Context) (ids []string, err error) {
	all, err := a.PBS.Backups(ctx, "")
	for _, b := range all {
		if b.Verified == backup.VerifiedFailed {
			ids = append(ids, b.ID())
		}
	}
	return ids, err
}

// PruneDatastore prunes, by PBS's own rule, the groups of the guests that this
// config backs up. A group of another guest, and one whose newest backup is
// damaged, is left alone. Repeating it is harmless.
func (a *Guests) PruneDatastore(ctx context.Context, _ DatastoreParams) (DatastoreResult, error) {
	defer beat(ctx, func() any { return nil })()
	res, err := a.pruneDatastore(ctx)
	return res, failure(err)
}

func (a *Guests) pruneDatastore(ctx context.Context) (DatastoreResult, error) {
	guests, err := a.PVE.Guests(ctx)
	if err != nil {
		return DatastoreResult{}, fmt.Errorf("list guests: %w", err)
	}
	all, err := a.PBS.Backups(ctx, "")
	if err != nil {
		return DatastoreResult{}, fmt.Errorf("list backups: %w", err)
	}
	selected, _ := backup.SelectGuests(*a.Policy.Proxmox, guests)
	var res DatastoreResult
	groups, kept, removed := 0, 0, 0
	for _, g := range selected {
		newest := backup.NewestBackup(all, g.Group())
		if newest == nil {
			continue
		}
		if newest.Verified == backup.VerifiedFailed {
			res.Items = append(res.Items, Item{Name: g.String(), Outcome: backup.Skipped, Detail: "not pruned: its newest backup is damaged"})
			continue
		}
		marks, err := a.PBS.PruneGroup(ctx, g.Group(), a.Policy.Proxmox.Keep, false)
		if errors.Is(err, backup.ErrCredentials) || ctx.Err() != nil {
			return res, fmt.Errorf("prune %s: %w", g.Group(), err)
		}
		if err != nil {
			res.Items = append(res.Items, Item{Name: g.String(), Outcome: backup.Warning, Detail: "not pruned: " + err.Error()})
			continue
		}
		groups++
		for _, m := range marks {
			if m.Keep {
				kept++
			} else {
				removed++
			}
		}
	}
	res.Summary = fmt.Sprintf("%d backups removed, %d kept in %d groups", removed, kept, groups)
	return res, nil
}

// CollectGarbage frees the chunks that no backup refers to any more. It finds a
// garbage collection that runs already.
func (a *Guests) CollectGarbage(ctx context.Context, _ DatastoreParams) (DatastoreResult, error) {
	id, err := a.PBS.StartGC(ctx)
	if err != nil {
		return DatastoreResult{}, failure(fmt.Errorf("collect garbage: %w", err))
	}
	task, err := a.followTask(ctx, id, 0)
	if err != nil {
		return DatastoreResult{}, failure(fmt.Errorf("collect garbage: %w", err))
	}
	res := DatastoreResult{Summary: "garbage collected"}
	if task.State != backup.TaskOK {
		res.Items = append(res.Items, Item{Name: "garbage collection", Outcome: backup.Warning, Detail: "ended with: " + short(task.Status)})
	}
	return res, nil
}

// followTask waits for a task of the datastore, bound at most (0: for ever), with
// the last line of its log as heartbeat. The task is not stopped with the step:
// it harms nobody, and the next try finds it.
func (a *Guests) followTask(ctx context.Context, id backup.UPID, bound time.Duration) (backup.Task, error) {
	var progress atomic.Pointer[TaskProgress]
	progress.Store(&TaskProgress{UPID: id})
	defer beat(ctx, func() any { return progress.Load() })()
	start, next, every := a.Now(), 0, pollFirst
	for {
		task, err := a.PBS.Task(ctx, id)
		if err != nil || task.Ended() || bound > 0 && a.Now().Sub(start) > bound {
			return task, err
		}
		if log, err := a.PBS.TaskLog(ctx, id, next); err == nil && len(log.Lines) > 0 {
			next = log.Next
			progress.Store(&TaskProgress{UPID: id, Last: short(log.Lines[len(log.Lines)-1])})
		}
		if err := a.Wait(ctx, every); err != nil {
			return task, err
		}
		every = min(every*2, pollMax)
	}
}

// idleBound is how long a snapshot of the datastore waits for it to be idle. A
// snapshot is consistent even of a busy one; idle, it holds no half backups and
// no garbage.
const idleBound = 30 * time.Minute

// AwaitIdle waits until nobody writes to the datastore, half an hour at most. The
// outcome is a warning when it went on while somebody did.
func (a *Guests) AwaitIdle(ctx context.Context, _ DatastoreParams) (Item, error) {
	defer beat(ctx, func() any { return nil })()
	start := a.Now()
	for {
		state, err := a.PBS.State(ctx)
		if err != nil {
			return Item{}, failure(fmt.Errorf("look at the datastore: %w", err))
		}
		item := Item{Name: "datastore " + a.Policy.Proxmox.Datastore, Outcome: backup.OK, Detail: "idle"}
		if state.Idle() {
			return item, nil
		}
		if a.Now().Sub(start) > idleBound {
			item.Outcome = backup.Warning
			item.Detail = fmt.Sprintf("not idle after %s (%s); the snapshot was taken all the same", idleBound, strings.Join(state.Busy, ", "))
			return item, nil
		}
		if err := a.Wait(ctx, pollMax); err != nil {
			return Item{}, err
		}
	}
}
