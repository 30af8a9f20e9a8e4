package activities_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/temporal"

	"triplicate/activities"
	"triplicate/internal/backup"
)

var errBroken = errors.New("the cable is out")

// TestUnreadTokenIsNotStale: days of a first copy are not thrown away because a
// command gave no answer.
func TestUnreadTokenIsNotStale(t *testing.T) {
	host, steps, params := newReplica(t)
	stamp := snapshot(t, host, steps, 1)
	host.CutAfter(3)
	if _, err := steps.ReplicateDataset(t.Context(), params); err == nil {
		t.Fatal("a cut stream passed as success")
	}
	for hour := 2; hour < 8; hour++ {
		snapshot(t, host, steps, hour)
	}
	w := over(steps, host)
	w.token = func() (error, bool) { return errBroken, true }
	if _, err := steps.ReplicateDataset(t.Context(), params); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("error %v, want %v", err, errBroken)
	}
	if res := prune(t, steps, activities.PlanHourly); res.Destroyed != 0 || said(res.Items)["nvme/a"] != backup.Skipped {
		t.Errorf("Prune = %+v; want the dataset skipped", res)
	}
	w.token = nil
	if res := prune(t, steps, activities.PlanHourly); res.Destroyed == 0 {
		t.Errorf("Prune = %+v; want it to go on", res)
	}
	first := replicate(t, steps, "a", "nvme/a")
	if host.Files("hdd/copies/a@triplicate-"+string(stamp)) == nil {
		t.Errorf("the partial receive was discarded: %+v", first)
	}
}

// TestNoHoldOutlivesItsStep: a replica that fails night after night must not
// gather holds on its source, where `qm destroy` meets them (trap 2).
func TestNoHoldOutlivesItsStep(t *testing.T) {
	host, steps, params := newReplica(t)
	w := over(steps, host)
	for name, fail := range map[string]func(ctx context.Context, t backup.Transfer, progress func(int64)) (error, bool){
		"the stream fails": failing("hdd/copies/a", errBroken),
		"it is cut": func(context.Context, backup.Transfer, func(int64)) (error, bool) {
			host.CutAfter(3)
			return nil, false
		},
		"the step is cancelled": func(ctx context.Context, _ backup.Transfer, _ func(int64)) (error, bool) {
			<-ctx.Done()
			return ctx.Err(), true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.transfer = fail
			for hour := 1; hour <= 7; hour++ {
				snapshot(t, host, steps, hour)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				_, err := steps.ReplicateDataset(ctx, params)
				cancel()
				if err == nil {
					t.Fatal("it passed as success")
				}
			}
			if tags := held(t, host, "nvme/a"); len(tags) > 0 {
				t.Errorf("the source is held by %v", tags)
			}
			host.Destroy("nvme/a")
			host.MkDataset("nvme/a")
		})
	}
}

// TestReapByPattern: leftovers of a replica that has another name now, or none, go
// too, and the slow columns are read of the few that can be held.
func TestReapByPattern(t *testing.T) {
	host, steps, _ := newReplica(t)
	host.MkDataset("nvme/other")
	grow(t, host, "nvme/other", 50, day)
	grow(t, host, "nvme/a", 50, day)
	for i, dataset := range []string{"nvme/a", "nvme/other"} {
		snaps, _, err := host.Points(t.Context(), dataset)
		must(t, err)
		last, stamp := snaps[len(snaps)-1], backup.Stamp("20261124T233000Z")
		old := fmt.Sprint("renamed-", i)
		must(t, host.Bookmark(t.Context(), last, backup.BookmarkName("triplicate", old, stamp)))
		must(t, host.Hold(t.Context(), backup.StepTag(old), last.String()))
		must(t, host.Hold(t.Context(), "mine", last.String()))
		must(t, host.Hold(t.Context(), backup.HoldTag("onward"), last.String()))
	}
	w := over(steps, host)
	must(t, steps.Reap(t.Context()))
	want := []string{"mine", backup.HoldTag("onward")}
	for _, dataset := range []string{"nvme/a", "nvme/other"} {
		if diff := cmp.Diff(want, held(t, host, dataset)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dataset, diff)
		}
	}
	if w.looked.Load() > 2 {
		t.Errorf("the slow columns of %d snapshots were read, want 2 of 100", w.looked.Load())
	}
}

// TestRenamedReplicaLetsGoOfItsOldName on the target, once it has copied again.
func TestRenamedReplicaLetsGoOfItsOldName(t *testing.T) {
	host, steps, _ := newReplica(t)
	snapshot(t, host, steps, 1)
	replicate(t, steps, "a", "nvme/a")
	steps.Policy.Replicas[0].Name = "b"
	for _, hour := range []int{0, 2} {
		if hour > 0 {
			snapshot(t, host, steps, hour)
		}
		replicate(t, steps, "b", "nvme/a")
	}
	if diff := cmp.Diff([]string{backup.HoldTag("b")}, held(t, host, "hdd/copies/a")); diff != "" {
		t.Errorf("holds on the replica (-want +got):\n%s", diff)
	}
}

// TestStalledStreamIsGivenUp, as a failure that is tried again.
func TestStalledStreamIsGivenUp(t *testing.T) {
	host, steps, params := newReplica(t)
	snapshot(t, host, steps, 1)
	w := over(steps, host)
	steps.Now, steps.Stall = time.Now, 50*time.Millisecond
	w.transfer = func(ctx context.Context, _ backup.Transfer, progress func(int64)) (error, bool) {
		progress(1)
		select {
		case <-ctx.Done():
			return context.Cause(ctx), true
		case <-time.After(20 * time.Second):
			return errors.New("nobody noticed"), true
		}
	}
	_, err := steps.ReplicateDataset(t.Context(), params)
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != activities.TypeStalled || app.NonRetryable() {
		t.Errorf("error %v, want %s, to be tried again", err, activities.TypeStalled)
	}
	w.transfer = nil
	replicate(t, steps, "a", "nvme/a")
}

// TestPruneDoesNotWaitForAStream: a first copy of days must not keep prune from
// all that the stream does not need.
func TestPruneDoesNotWaitForAStream(t *testing.T) {
	host, steps, _ := newReplica(t)
	snapshot(t, host, steps, 1)
	replicate(t, steps, "a", "nvme/a")
	for hour := 2; hour < 8; hour++ {
		snapshot(t, host, steps, hour)
	}
	w := over(steps, host)
	var res activities.PruneResult
	w.transfer = func(context.Context, backup.Transfer, func(int64)) (error, bool) {
		res = prune(t, steps, activities.PlanHourly)
		return nil, false
	}
	replicate(t, steps, "a", "nvme/a")
	if res.Destroyed != 5 || len(res.Items) > 0 {
		t.Errorf("Prune = %+v; want five destroyed while the stream runs", res)
	}
}

// TestBaseGoneIsLookedForAgain: prune may take the base between look and send; its
// bookmark stays.
func TestBaseGoneIsLookedForAgain(t *testing.T) {
	host, steps, _ := newReplica(t)
	snapshot(t, host, steps, 1)
	replicate(t, steps, "a", "nvme/a")
	stamp := snapshot(t, host, steps, 2)
	w := over(steps, host)
	w.estimate = func(t backup.Transfer) (error, bool) {
		if t.From == nil {
			return nil, false
		}
		host.Destroy(t.From.String())
		return fmt.Errorf("incremental source (%s): %w", t.From, backup.ErrNotFound), true
	}
	settled(t, host, replicate(t, steps, "a", "nvme/a"), stamp, "its base gone")
}

// TestReplicaOfAReplica: what was received is copied on, marks, holds and all.
func TestReplicaOfAReplica(t *testing.T) {
	host, steps, _ := newReplica(t)
	host.MkPool("usb")
	steps.Policy.Replicas = append(steps.Policy.Replicas, backup.Replica{Name: "onward", Source: "hdd/copies", Target: "usb/copies"})
	if got := said(planned(t, steps, "onward").Items); got["hdd/copies/a"] != "" {
		t.Errorf("what is not there yet is %v", got)
	}
	for hour := 1; hour <= 2; hour++ {
		stamp := snapshot(t, host, steps, hour)
		must(t, host.TakeSnapshots(t.Context(), []string{"hdd/copies@triplicate-" + string(stamp)}, map[string]string{backup.PropClass: backup.ClassPeriodic}))
		replicate(t, steps, "a", "nvme/a")
		plan := planned(t, steps, "onward")
		if diff := cmp.Diff([]string{"hdd/copies", "hdd/copies/a"}, plan.Sources); diff != "" || len(plan.Items) > 0 {
			t.Fatalf("sources %v, items %v", diff, plan.Items)
		}
		for _, d := range plan.Sources {
			replicate(t, steps, "onward", d)
		}
		if host.Files("usb/copies/a@triplicate-" + string(stamp))["f"] == "" {
			t.Errorf("hour %d did not arrive", hour)
		}
	}
}
