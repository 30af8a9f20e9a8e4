package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/zfs/zfstest"
)

// TestStatusVerdict: what the copies look like decides the exit status, and what
// cannot be seen is never fine.
func TestStatusVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		scene func(*testing.T) *smith
		code  int
		says  []string
	}{
		"all copies": {
			func(t *testing.T) *smith { return backedUp(t) },
			exitOK, []string{"all copies of 4 datasets are there and fresh", "0 s ago (6)", "11 h ago (2)"},
		},
		"no copy at all": {
			func(t *testing.T) *smith { return newSmith(t) },
			exitUnprotected, []string{"MISSING", "4 of 4 datasets lack a copy"},
		},
		"a new dataset has none yet": {
			func(t *testing.T) *smith {
				s := backedUp(t)
				s.host.MkDataset("nvme/personal/later")
				return s
			},
			exitUnprotected, []string{"nvme/personal/later", "1 of 5 datasets"},
		},
		"a night was missed": {
			func(t *testing.T) *smith {
				s := backedUp(t)
				s.now = noon.Add(20 * time.Hour)
				s.snapshot(s.now, "nvme/personal", "nvme/personal/photos")
				return s
			},
			exitUnprotected, []string{"TOO OLD: 31 h ago (2)", "4 of 4 datasets"},
		},
		"a dataset of the config is gone": {
			func(t *testing.T) *smith {
				s := backedUp(t)
				s.host.Destroy("hdd/data")
				return s
			},
			exitUnprotected, []string{"hdd/data: in the config but not on this machine"},
		},
		"the clock was set back": {
			func(t *testing.T) *smith {
				s := backedUp(t)
				s.now = noon.Add(-6 * time.Hour)
				return s
			},
			exitWarning, []string{"unknown", "2 of 4 datasets cannot be judged: not everything can be seen\n"},
		},
		"a pool hangs": {
			func(t *testing.T) *smith {
				s := backedUp(t)
				s.host.Suspend("hdd")
				return s
			},
			exitWarning, []string{"cannot be seen for 4 datasets", "4 of 4 datasets cannot be judged: not everything can be seen\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.scene(t)
			got := s.must(tc.code, "status")
			for _, want := range tc.says {
				if !strings.Contains(got.out, want) {
					t.Errorf("it does not say %q:\n%s", want, got.out)
				}
			}
			if strings.Contains(got.out, "unknown") && strings.Contains(got.out, "no copy of") {
				t.Errorf("it claims what it did not see:\n%s", got.out)
			}
			s.must(tc.code, "status", "--json")
		})
	}
}

// TestVerdict: what is missing, what could not be seen and what cannot be covered are
// three things.
func TestVerdict(t *testing.T) {
	fresh, unknown, uncovered := backup.Copy{State: backup.CopyFresh}, backup.Copy{State: backup.CopyUnknown}, backup.Copy{State: backup.CopyUncovered}
	safe := backup.DatasetStatus{Dataset: "nvme/a", Snapshot: fresh, Replica: fresh, Proxmox: backup.Copy{State: backup.CopyNone}, Offsite: fresh}
	with := func(replica, offsite backup.Copy) backup.DatasetStatus {
		d := safe
		d.Replica, d.Offsite = replica, offsite
		return d
	}
	for name, tc := range map[string]struct {
		all  []backup.DatasetStatus
		says string
	}{
		"all is fresh":     {[]backup.DatasetStatus{safe}, "all copies of 1 datasets are there and fresh"},
		"only not covered": {[]backup.DatasetStatus{safe, with(fresh, uncovered)}, "no copy of 2 datasets is missing or too old; of 1 not everything is covered"},
		"not seen":         {[]backup.DatasetStatus{safe, with(unknown, fresh)}, "1 of 2 datasets cannot be judged: not everything can be seen"},
		"both in one":      {[]backup.DatasetStatus{with(unknown, uncovered)}, "1 of 1 datasets cannot be judged: not everything can be seen"},
		"all three": {[]backup.DatasetStatus{with(unknown, fresh), with(fresh, uncovered), with(backup.Copy{State: backup.CopyMissing}, unknown)},
			"1 of 3 datasets lack a copy, or it is too old; 1 of 3 datasets cannot be judged: not everything can be seen; of 1 not everything is covered"},
		"nothing": {nil, "no dataset has an enabled row; triplicate check says more"},
	} {
		var out strings.Builder
		if err := (&cli{out: &out}).verdict(len(tc.all), judge(tc.all)); err != nil || out.String() != tc.says+"\n" {
			t.Errorf("%s: %v, it says %q, want %q", name, err, out.String(), tc.says)
		}
	}
}

// TestCheckFindings: each finding has a name and an outcome, the worst of which is
// the exit status.
func TestCheckFindings(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*smith)
		code   int
		line   string // outcome and ID
	}{
		"all is well": {func(*smith) {}, exitOK, "ok config"},
		"uncovered dataset": {func(s *smith) {
			s.write(strings.Replace(rows, "{ dataset: hdd,", "{ dataset: hdd/other,", 1) + s.server)
		}, exitWarning, "warning uncovered"},
		"missing dataset":   {func(s *smith) { s.host.Destroy("hdd/data") }, exitFailed, "failed missing"},
		"orphaned copy":     {func(s *smith) { s.host.Destroy("nvme/personal/photos") }, exitWarning, "warning orphan"},
		"clock set back":    {func(s *smith) { s.now = noon.Add(-6 * time.Hour) }, exitWarning, "warning clock"},
		"pool not imported": {func(s *smith) { s.host.Destroy("nvme") }, exitFailed, "failed pool"},
		"a key not loaded": {func(s *smith) {
			s.host.MkEncrypted("nvme/personal/diary")
			s.host.UnloadKey("nvme/personal/diary")
		}, exitWarning, "warning key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := backedUp(t, frontend(t, nil))
			s.must(exitOK, "schedules", "sync")
			tc.change(s)
			got := s.must(tc.code, "check")
			found := false
			for line := range strings.Lines(got.out) {
				found = found || strings.HasPrefix(strings.Join(strings.Fields(line), " "), tc.line+" ")
			}
			if !found {
				t.Errorf("no finding %q in:\n%s", tc.line, got.out)
			}
		})
	}
}

// TestLookingWithoutTheServer: nothing but check even asks for it, and check only warns.
func TestLookingWithoutTheServer(t *testing.T) {
	s := backedUp(t)
	for _, verb := range []string{"status", "plan", "snapshots"} {
		s.must(exitOK, verb)
	}
	got := s.must(exitWarning, "check")
	if !strings.Contains(got.out, "is triplicated running?") {
		t.Errorf("it does not say what to look at:\n%s", got.out)
	}
}

// TestPlanSaysWhatAndWhy: next night, its stages, and a reason for each snapshot.
func TestPlanSaysWhatAndWhy(t *testing.T) {
	s := backedUp(t)
	got := s.must(exitOK, "plan")
	for _, want := range []string{
		"next night: Thu 26 Nov 01:30 CET",
		"02:30  replicate nvme/personal to hdd/backups-data/personal",
		"offsite: not configured",
		"nvme/personal (hourly 3): keep 3, destroy 3",
		"destroy @triplicate-20261124T010000Z: ",
		"hdd/data (daily 2): keep 2, destroy 0",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("it does not say %q:\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, "keep    @") {
		t.Errorf("it lists what stays:\n%s", got.out)
	}
	if got := s.must(exitOK, "plan", "--all"); !strings.Contains(got.out, "keep    @triplicate-20261125T120000Z: ") {
		t.Errorf("--all does not list what stays:\n%s", got.out)
	}
}

// TestMassDestroyWaitsForAck: plan shows the refusal and ends with 6 until the row
// was acknowledged; then the same plan ends with 0.
func TestMassDestroyWaitsForAck(t *testing.T) {
	s := aMass(t)
	s.must(exitApproval, "plan", "--json")
	got := s.must(exitApproval, "plan")
	if !strings.Contains(got.out, "refused: "+string(backup.RefuseMass)) {
		t.Errorf("no refusal in:\n%s", got.out)
	}
	if got := s.must(exitOK, "ack", "retention", "nvme/personal"); !strings.Contains(got.out, "the next prune of nvme/personal may go") {
		t.Errorf("ack says:\n%s", got.out)
	}
	s.must(exitOK, "plan")
	got = s.must(exitFailed, "ack", "retention", "nvme/other")
	if !strings.Contains(got.err, "nvme/other has no row") {
		t.Errorf("stderr: %s", got.err)
	}
}

// TestNoAckForWhatAnAckDoesNotLift: neither check nor plan asks for one, and none is
// taken: it would wait there for a mass destroy that nobody has looked at.
func TestNoAckForWhatAnAckDoesNotLift(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*smith)
		says   string
	}{
		"the clock was set back": {func(s *smith) { s.now = noon.Add(-6 * time.Hour) }, "an ack does not lift this: the clock is behind"},
		"a replica's pool hangs": {func(s *smith) { s.host.Suspend("hdd") }, "an ack does not lift this: the pool of its replica"},
		"nothing is refused":     {func(*smith) {}, "nothing waits for an ack: prune refuses nothing there"},
	} {
		t.Run(name, func(t *testing.T) {
			s := backedUp(t)
			tc.change(s)
			if got := s.triplicate("check"); strings.Contains(got.out, "ack retention") {
				t.Errorf("check asks for an ack:\n%s", got.out)
			}
			if got := s.triplicate("plan"); got.code == exitApproval || strings.Contains(got.out, "ack retention") {
				t.Errorf("plan ends with %d:\n%s", got.code, got.out)
			}
			before := len(s.host.Calls())
			if got := s.must(exitFailed, "ack", "retention", "nvme/personal"); !strings.Contains(got.err, tc.says) {
				t.Errorf("stderr: %s", got.err)
			}
			if calls := s.host.Calls()[before:]; len(calls) > 0 {
				t.Errorf("it changed something: %v", calls)
			}
		})
	}
}

// TestPlanOfWhatCannotBeSeen: a stage that could not be looked at is a warning, never 0.
func TestPlanOfWhatCannotBeSeen(t *testing.T) {
	s := backedUp(t)
	s.host.Suspend("hdd")
	if got := s.must(exitWarning, "plan"); !strings.Contains(got.out, "cannot be seen: pool hdd") {
		t.Errorf("it says\n%s", got.out)
	}
}

// TestSnapshots: those of one dataset and all below, each with its reason.
func TestSnapshots(t *testing.T) {
	s := backedUp(t)
	if err := s.host.TakeSnapshots(t.Context(), []string{"hdd/data@before-upgrade"}, nil); err != nil {
		t.Fatal(err)
	}
	got := s.must(exitOK, "snapshots", "hdd/data")
	if lines := strings.Count(got.out, "\n"); lines != 4 {
		t.Errorf("%d lines, want a heading, two of ours and one of the operator's:\n%s", lines, got.out)
	}
	if !strings.Contains(got.out, "hdd/data@before-upgrade") || !strings.Contains(got.out, "not ours") {
		t.Errorf("the operator's own is not named as such:\n%s", got.out)
	}
	if all := s.must(exitOK, "snapshots"); !strings.Contains(all.out, "hdd/backups-data/personal/photos@triplicate-20261125T010000Z") {
		t.Errorf("without a dataset the replica's are missing:\n%s", all.out)
	}
	if got := s.must(exitFailed, "snapshots", "nvme/typo"); !strings.Contains(got.err, "no dataset \"nvme/typo\" in the pools of the config (nvme, hdd)") {
		t.Errorf("stderr: %s", got.err)
	}
}

// blind is a machine whose pools cannot be listed.
type blind struct{ *zfstest.Host }

var errBlind = errors.New("the ZFS modules are not loaded")

func (blind) Pools(context.Context) ([]backup.Pool, error) { return nil, errBlind }

func (blind) Datasets(context.Context, ...string) ([]backup.Dataset, error) { return nil, errBlind }

// TestPoolsOutOfReach: what cannot be looked at is an error, never an empty answer.
func TestPoolsOutOfReach(t *testing.T) {
	for verb, code := range map[string]int{
		"status": exitUnreachable, "plan": exitUnreachable, "snapshots": exitUnreachable, "check": exitFailed,
	} {
		s := newSmith(t, frontend(t, nil))
		s.zfs = blind{s.host}
		if got := s.must(code, verb); !strings.Contains(got.out+got.err, errBlind.Error()) {
			t.Errorf("%s does not say why:\n%s%s", verb, got.out, got.err)
		}
	}
}
