package activities_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// newReplica is a source with its replica's pool, and the steps over a host that a
// test may put something before.
func newReplica(t *testing.T) (*zfstest.Host, *activities.Pools, activities.ReplicateParams) {
	t.Helper()
	host := zfstest.New(t, "nvme", "hdd")
	host.MkDataset("nvme/a")
	host.MkDataset("hdd/copies")
	return host, newSteps(host), activities.ReplicateParams{Replica: "a", Dataset: "nvme/a"}
}

// deaf cannot decode resume tokens, as when the command has timed out.
type deaf struct {
	*zfstest.Host
	err error
}

func (d *deaf) Token(ctx context.Context, token string) (backup.Token, error) {
	if d.err != nil {
		return backup.Token{}, d.err
	}
	return d.Host.Token(ctx, token)
}

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
	mute := &deaf{Host: host, err: errors.New("no answer within 5m0s")}
	steps.ZFS = mute
	if _, err := steps.ReplicateDataset(t.Context(), params); err == nil || !strings.Contains(err.Error(), mute.err.Error()) {
		t.Errorf("error %v, want %v", err, mute.err)
	}
	res, err := steps.Prune(t.Context(), activities.PruneParams{Scope: activities.PlanHourly})
	if err != nil || res.Destroyed != 0 || len(res.Items) != 1 || res.Items[0].Outcome != backup.Skipped {
		t.Errorf("Prune = %+v, %v; want the dataset skipped", res, err)
	}
	mute.err = nil
	if res, err := steps.Prune(t.Context(), activities.PruneParams{Scope: activities.PlanHourly}); err != nil || res.Destroyed == 0 {
		t.Errorf("Prune = %+v, %v; want it to go on", res, err)
	}
	first, err := steps.ReplicateDataset(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if host.Files("hdd/copies/a@triplicate-"+string(stamp)) == nil {
		t.Errorf("the partial receive was discarded: %+v", first)
	}
}
