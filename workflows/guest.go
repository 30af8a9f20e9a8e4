package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// FailedGuest is the failure type of a guest that could not be backed up. Details
// hold the GuestSummary.
const FailedGuest = "GuestFailed"

// How often a guest whose backup failed for a passing reason (a lock, a reboot) is
// tried in one run, and how long it is left alone in between.
const (
	guestTries = 3
	guestPause = 10 * time.Minute
)

// GuestParams names a guest and the run.
type GuestParams struct {
	Host    string              `json:"host"`
	Guest   activities.GuestRef `json:"guest"`
	Node    string              `json:"node"` // where it was when the run was planned
	Key     string              `json:"key"`  // of the run; stands in the backup's notes
	Started time.Time           `json:"started"`
}

// GuestSummary is what became of one guest's backup.
type GuestSummary struct {
	VMID    int            `json:"vmid"`
	Outcome backup.Outcome `json:"outcome"`
	Detail  string         `json:"detail"`
	Backup  string         `json:"backup,omitempty"`  // vm/101/2026-...
	Bytes   int64          `json:"bytes,omitempty"`   // transferred
	Storage bool           `json:"storage,omitempty"` // the target cannot be written: others would fail alike
}

// Guest backs up one guest: start, follow, confirm. Its fixed ID keeps two runs
// from backing up the same guest at once; the run's key keeps a retry from
// starting a second backup.
func Guest(ctx workflow.Context, p GuestParams) (GuestSummary, error) {
	sum := GuestSummary{VMID: p.Guest.VMID}
	for try := 1; ; try++ {
		end, proof, err := dumpOnce(ctx, p, fmt.Sprintf("%s.%d", p.Key, try))
		if err != nil {
			if temporal.IsCanceledError(err) {
				return sum, err
			}
			sum.Outcome, sum.Detail = backup.Failed, reason(err)
			break
		}
		fate := backup.FateOf(backup.Task{State: end.State, Status: end.Status}, end.Failure)
		if fate == backup.DumpRetry && try < guestTries && !end.Stalled {
			workflow.SetCurrentDetails(ctx, fmt.Sprintf("try %d of %d failed: %s", try, guestTries, said(end)))
			pause := workflow.TimerOptions{Summary: fmt.Sprintf("before try %d of %d", try+1, guestTries)}
			if err := workflow.NewTimerWithOptions(ctx, guestPause, pause).Get(ctx, nil); err != nil {
				return sum, err
			}
			continue
		}
		sum.settle(end, proof, fate)
		break
	}
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(sum.Outcome)), AttrBytes.ValueSet(sum.Bytes))
	if err != nil {
		return sum, err
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%s**: %s", sum.Outcome, sum.Detail))
	if sum.Outcome == backup.Failed {
		return sum, temporal.NewNonRetryableApplicationError(fmt.Sprintf("guest %s: %s", p.Guest, sum.Detail), FailedGuest, nil, sum)
	}
	return sum, nil
}

// dumpOnce is one try: find or start, follow to the end, look if it is there.
func dumpOnce(ctx workflow.Context, p GuestParams, key string) (end activities.DumpEnd, proof activities.DumpProof, err error) {
	var started activities.StartDumpResult
	err = workflow.ExecuteActivity(with(ctx, quick, "start the backup of "+p.Guest.String()), guests.StartDump,
		activities.StartDumpParams{VMID: p.Guest.VMID, Key: key, Since: p.Started.Add(-time.Minute)}).Get(ctx, &started)
	if err != nil {
		return end, proof, err
	}
	end = activities.DumpEnd{State: backup.TaskOK, Backup: started.Backup}
	if started.UPID != "" {
		err = workflow.ExecuteActivity(with(ctx, transfer, "follow "+string(started.UPID)), guests.AwaitDump,
			activities.AwaitDumpParams{VMID: p.Guest.VMID, UPID: started.UPID}).Get(ctx, &end)
		if err != nil || end.Stalled || end.State != backup.TaskOK && end.State != backup.TaskWarnings {
			return end, proof, err
		}
	}
	err = workflow.ExecuteActivity(with(ctx, quick, "look for it on Proxmox Backup Server"), guests.ConfirmDump,
		activities.ConfirmDumpParams{VMID: p.Guest.VMID, Backup: end.Backup, Key: key}).Get(ctx, &proof)
	if err != nil && !temporal.IsCanceledError(err) {
		// The backup was made; that nobody could look is a warning, not a failure.
		proof.Wrong, err = "could not be confirmed: "+reason(err), nil
	}
	return end, proof, err
}

func (s *GuestSummary) settle(end activities.DumpEnd, proof activities.DumpProof, fate backup.DumpFate) {
	s.Backup, s.Bytes, s.Storage = proof.Backup, end.Bytes, fate == backup.DumpStorage
	switch {
	case end.Stalled:
		s.Outcome, s.Detail = backup.Failed, "its task has said nothing for 6 hours; look at it in Proxmox VE and stop it there if it hangs"
	case fate != backup.DumpDone:
		s.Outcome, s.Detail = backup.Failed, said(end)
	case proof.Wrong != "" && proof.Backup == "" && end.Backup != "":
		s.Outcome, s.Detail = backup.Warning, proof.Wrong
	case proof.Wrong != "":
		s.Outcome, s.Detail = backup.Failed, proof.Wrong
	case end.State == backup.TaskWarnings:
		s.Outcome, s.Detail = backup.Warning, fmt.Sprintf("%s, with warnings: %s", proof.Backup, first(end.Warnings))
	default:
		s.Outcome = backup.OK
		s.Detail = fmt.Sprintf("%s, %s sent, %.0f %% was there", proof.Backup, backup.Bytes(end.Bytes), end.Reused)
	}
}

// said is what a dump's end says of why.
func said(end activities.DumpEnd) string {
	text := end.Failure
	if text == "" {
		text = end.Status
	}
	switch end.State {
	case backup.TaskInterrupted:
		return "somebody stopped it: " + text
	case backup.TaskLost:
		return "the node does not know how it ended: " + text
	}
	return text
}

func first(texts []string) string {
	if len(texts) == 0 {
		return "see its log"
	}
	return texts[0]
}
