package activities_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// wide are steps on a pool of n datasets, hdd/00 and so on, with a host that
// refuses some.
func wide(t testing.TB, n int, refuse func(names []string) error) (*activities.Pools, *refusing, activities.TakeSnapshotsParams) {
	t.Helper()
	host := hostOf(t)
	params := activities.TakeSnapshotsParams{Pool: "hdd", Stamp: backup.StampOf(now), Run: "run"}
	for i := range n {
		d := fmt.Sprintf("hdd/%02d", i)
		host.MkDataset(d)
		params.Datasets = append(params.Datasets, d)
	}
	r := &refusing{Host: host, refuse: refuse}
	return stepsOf(r, backup.Row{Dataset: "hdd", Frequency: daily, Keep: backup.Keep{Daily: 2}}), r, params
}

// TestCulpritsDoNotCostTheOthers: ZFS takes all or none of a command. Where it
// names who is to blame, the rest is one command still, at one instant.
func TestCulpritsDoNotCostTheOthers(t *testing.T) {
	bad := []string{"hdd/03", "hdd/07"}
	for name, c := range map[string]struct {
		names    bool // ZFS says which
		commands int  // at most
		warned   bool // that it was not one instant
	}{
		"named":   {true, 2, false},
		"unnamed": {false, 40, true},
	} {
		t.Run(name, func(t *testing.T) {
			steps, host, params := wide(t, 60, func(names []string) error {
				refused := among(names, bad...)
				if len(refused) == 0 {
					return nil
				}
				text := "cannot create snapshots "
				if c.names {
					text = ""
					for _, r := range refused {
						text += fmt.Sprintf("cannot create snapshot '%s': dataset is busy\n", r)
					}
				}
				return fmt.Errorf("zfs snapshot: %sno snapshots were created: %w", text, backup.ErrBusy)
			})
			res, err := steps.TakeSnapshots(t.Context(), params)
			if err != nil || res.Taken != 58 {
				t.Fatalf("%d taken, %v; want 58", res.Taken, err)
			}
			got := said(res.Items)
			for _, d := range bad {
				if got[d] != backup.Failed {
					t.Errorf("%s: %q, want failed", d, got[d])
				}
				delete(got, d)
			}
			if warned := got["hdd"] == backup.Warning; warned != c.warned || len(got) > 1 || len(got) == 1 && !warned {
				t.Errorf("beside them it says %v", got)
			}
			if len(host.commands) > c.commands {
				t.Errorf("%d commands, at most %d", len(host.commands), c.commands)
			}
			snaps, _, err := host.Points(t.Context(), "hdd")
			if err != nil {
				t.Fatal(err)
			}
			instants := map[uint64]bool{}
			for _, s := range snaps {
				instants[s.CreateTXG] = true
			}
			if len(snaps) != 58 || (len(instants) > 1) != c.warned {
				t.Errorf("%d snapshots of %d instants", len(snaps), len(instants))
			}
			// Run again, it finds them all and tries only what is left.
			host.commands = nil
			if res, err := steps.TakeSnapshots(t.Context(), params); err != nil || res.Taken != 58 || len(host.commands[0]) != 2 {
				t.Errorf("again: %+v, %v; commands %v", res, err, host.commands)
			}
		})
	}
}

// TestPoolsTroubleIsNoCulprit: more commands only take more time.
func TestPoolsTroubleIsNoCulprit(t *testing.T) {
	for name, trouble := range map[string]error{
		"suspended": fmt.Errorf("cannot open 'hdd': %w", backup.ErrSuspended),
		"read-only": fmt.Errorf("cannot create snapshots : %w", backup.ErrReadOnlyPool),
		"full":      fmt.Errorf("cannot create snapshots : %w", backup.ErrNoSpace),
		"hung":      errors.New("no answer within 5m0s; the pool may be hung"),
	} {
		steps, host, params := wide(t, 9, func([]string) error { return trouble })
		if _, err := steps.TakeSnapshots(t.Context(), params); err == nil || len(host.commands) != 1 {
			t.Errorf("%s: %v after %d commands, want an error after one", name, err, len(host.commands))
		}
	}
}

// TestCommandsAreBounded: where every dataset is refused and ZFS does not say why,
// it ends.
func TestCommandsAreBounded(t *testing.T) {
	steps, host, params := wide(t, 99, func([]string) error { return fmt.Errorf("cannot create snapshots : %w", backup.ErrBusy) })
	res, err := steps.TakeSnapshots(t.Context(), params)
	if err != nil || res.Taken != 0 || len(res.Items) != 99 || len(host.commands) > 40 {
		t.Errorf("%d taken, %d items, %v; %d commands", res.Taken, len(res.Items), err, len(host.commands))
	}
}

// TestNothingIsBackDated: the stamp was fixed, then the host was off.
func TestNothingIsBackDated(t *testing.T) {
	steps, host, params := wide(t, 3, func([]string) error { return nil })
	at := now
	steps.Now = func() time.Time { return at }
	host.SetNow(steps.Now)
	refused := func() bool {
		_, err := steps.TakeSnapshots(t.Context(), params)
		var app *temporal.ApplicationError
		return errors.As(err, &app) && app.Type() == activities.TypeStampTooOld && app.NonRetryable()
	}
	for _, off := range []time.Duration{6 * time.Hour, backup.StampTolerance + time.Second, -backup.StampTolerance - time.Second} {
		if at = now.Add(off); !refused() || len(host.commands) > 0 {
			t.Errorf("%s off the stamp: commands %v, want none and %s", off, host.commands, activities.TypeStampTooOld)
		}
	}

	// Another run's snapshot with that stamp is ours too, but not this run's doing:
	// the rest gets another stamp.
	at = now
	first := params
	first.Datasets, first.Run = params.Datasets[:1], "another run"
	if res, err := steps.TakeSnapshots(t.Context(), first); err != nil || res.Taken != 1 {
		t.Fatal(res, err)
	}
	if at = now.Add(time.Hour); !refused() {
		t.Error("with one of another run: want it refused")
	}
	if at = now; refused() || count(t, host.Host, "hdd/00") != 1 || count(t, host.Host, "hdd/02") != 1 {
		t.Error("in time: want one of each, the other run's included")
	}

	// The command ran and its answer was lost: what is there counts, also for a
	// dataset made meanwhile, which gets none by this stamp.
	at = now.Add(6 * time.Hour)
	host.MkDataset("hdd/new")
	params.Datasets = append(params.Datasets, "hdd/new")
	res, err := steps.TakeSnapshots(t.Context(), params)
	if err != nil || res.Taken != 3 || said(res.Items)["hdd/new"] != backup.Failed || count(t, host.Host, "hdd/new") != 0 {
		t.Errorf("after the answer was lost: %+v, %v", res, err)
	}
	if !strings.Contains(res.Items[0].Detail, "nothing is back-dated") {
		t.Errorf("it says %q", res.Items[0].Detail)
	}
}
