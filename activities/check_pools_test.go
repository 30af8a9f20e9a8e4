package activities_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// worn has a pool that is not as it should be.
type worn struct {
	*zfstest.Host
	pool backup.Pool
}

func (w worn) Pools(ctx context.Context) ([]backup.Pool, error) {
	all, err := w.Host.Pools(ctx)
	for i := range all {
		if all[i].Name == w.pool.Name {
			all[i] = w.pool
		}
	}
	return all, err
}

// TestCheckOfAPool: that it is DEGRADED does not hide that it is full.
func TestCheckOfAPool(t *testing.T) {
	for name, tc := range map[string]struct {
		pool  backup.Pool
		state backup.Outcome
		space backup.Outcome
	}{
		"well":              {backup.Pool{Health: "ONLINE", Size: 100, Free: 50}, backup.OK, backup.NotConfigured},
		"full":              {backup.Pool{Health: "ONLINE", Size: 100, Free: 5}, backup.OK, backup.Warning},
		"degraded":          {backup.Pool{Health: "DEGRADED", Size: 100, Free: 50}, backup.Warning, backup.NotConfigured},
		"degraded and full": {backup.Pool{Health: "DEGRADED", Size: 100, Free: 5}, backup.Warning, backup.Warning},
		"read-only, full":   {backup.Pool{Health: "ONLINE", ReadOnly: true, Size: 100, Free: 5}, backup.Failed, backup.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			tc.pool.Name = "nvme"
			steps := stepsOf(worn{hostOf(t, "nvme/a"), tc.pool}, backup.Row{Dataset: "nvme/a", Frequency: hourly, Keep: backup.Keep{Hourly: 3}})
			all := steps.Check(t.Context())
			if got, texts := found(all, activities.FindPool); got != tc.state {
				t.Errorf("pool is %q, want %q: %s", got, tc.state, texts)
			}
			if got, texts := found(all, activities.FindSpace); got != tc.space {
				t.Errorf("space is %q, want %q: %s", got, tc.space, texts)
			}
		})
	}
}

// hung is a host on which each listing of one pool hangs.
type hung struct {
	*zfstest.Host
	pool string
}

func (h hung) Datasets(ctx context.Context, roots ...string) ([]backup.Dataset, error) {
	for _, r := range roots {
		if backup.PoolOf(r) == h.pool {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	return h.Host.Datasets(ctx, roots...)
}

// TestCheckOfAHungPool: after half a minute it is a finding, and what the other pool
// holds is judged.
func TestCheckOfAHungPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := hostOf(t, "nvme/a", "hdd/data")
		row := backup.Row{Dataset: "nvme/a", Frequency: hourly, Keep: backup.Keep{Hourly: 3}}
		steps := stepsOf(hung{host, "hdd"}, row, backup.Row{Dataset: "hdd/data", Frequency: daily, Keep: backup.Keep{Daily: 3}}, backup.Row{Dataset: "nvme/gone", Frequency: hourly, Keep: backup.Keep{Hourly: 3}})
		began := time.Now()
		all := (&activities.Checks{Copies: &activities.Copies{Pools: steps}}).Run(t.Context())
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		expect(t, all, activities.FindZFS, backup.Failed, "cannot list pool hdd: no answer within 18s; the pool may be hung")
		expect(t, all, activities.FindMissing, backup.Failed, "nvme/gone is in the config but not")
		if _, texts := found(all, activities.FindMissing); strings.Contains(texts, "hdd/data") {
			t.Errorf("it claims what it did not see: %s", texts)
		}
	})
}
