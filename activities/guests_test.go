package activities_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/pbs"
	"triplicate/internal/pbs/pbstest"
	"triplicate/internal/pve"
	"triplicate/internal/pve/pvetest"
	"triplicate/internal/wait"
)

// proxmox is a cluster of two nodes and a datastore, and the steps over the real
// clients. Its clock moves when somebody waits.
type proxmox struct {
	*activities.Guests
	cluster *pvetest.Cluster
	server  *pbstest.Server
	store   *pbstest.Store
	waited  time.Duration
	takes   time.Duration // of each task of Proxmox Backup Server
}

const pbsToken = "triplicate@pbs!backup:11111111-2222-3333-4444-555555555555"

func newProxmox(t *testing.T) *proxmox {
	t.Helper()
	p := &proxmox{}
	schema, _ := filepath.Glob("../../shared/proxmox-api")
	folder := strings.Join(schema, "")
	var err error
	p.server, err = pbstest.New(pbstest.Config{
		Now: func() time.Time { return p.cluster.Time() }, Takes: func(string) time.Duration { return p.takes }, Schema: folder,
	})
	must(t, err)
	p.store, err = p.server.AddDatastore(pbstest.Datastore{Name: "backups-vm"})
	must(t, err)
	must(t, p.server.AddToken(pbsToken, pbstest.DatastoreAdmin, pbstest.SystemAudit))
	p.cluster, err = pvetest.New(pvetest.Config{
		Nodes: []string{"smith", "jones"},
		Guests: []pvetest.Guest{
			{VMID: 101, Name: "web", Node: "smith"}, {VMID: 105, Name: "plex", Type: backup.Container, Node: "smith"},
			{VMID: 110, Name: "win", Node: "jones"}, {VMID: 900, Name: "pbs", Type: backup.Container, Node: "smith"},
		},
		Schema: folder, Tick: time.Second,
		Begin: p.store.Begin, Save: p.store.Save, Abort: p.store.Abort,
	})
	must(t, err)
	must(t, p.cluster.Start())
	must(t, p.server.Start())
	t.Cleanup(func() {
		_ = p.cluster.Close()
		_ = p.server.Close()
		for _, v := range append(p.cluster.Violations(), p.server.Violations()...) {
			t.Errorf("a request that should not be: %s", v)
		}
	})
	wait := func(ctx context.Context, d time.Duration) error {
		p.waited += d
		p.cluster.Advance(d)
		return ctx.Err()
	}
	hypervisor, err := pve.New(pve.Config{
		URLs: p.cluster.URLs(), Fingerprints: p.cluster.Fingerprints(), Wait: wait,
		Token: func() (string, error) { return pvetest.DefaultToken.Text(), nil },
	})
	must(t, err)
	datastore, err := pbs.New(pbs.Config{
		URL: p.server.URL(), Fingerprint: p.server.Fingerprint(), Datastore: "backups-vm", Wait: wait,
		Token: func() (string, error) { return pbsToken, nil },
	})
	must(t, err)
	p.Guests = &activities.Guests{
		PVE: hypervisor, PBS: datastore, Now: p.cluster.Time, Wait: wait,
		Policy: backup.Policy{Proxmox: &backup.ProxmoxPolicy{
			Storage: "pbs-smith", Datastore: "backups-vm", PBSGuest: 900, Keep: backup.Keep{Daily: 3, Weekly: 2, Monthly: 3},
		}},
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *proxmox) start(vmid int, key string) (activities.StartDumpResult, error) {
	return p.StartDump(context.Background(), activities.StartDumpParams{VMID: vmid, Key: key, Since: p.cluster.Time().Add(-time.Hour)})
}

func TestPlanGuests(t *testing.T) {
	p := newProxmox(t)
	plan, err := p.PlanGuests(t.Context(), activities.PlanGuestsParams{})
	must(t, err)
	got := map[string]int{}
	for _, n := range plan.Nodes {
		got[n.Node] = len(n.Guests)
	}
	if got["smith"] != 2 || got["jones"] != 1 {
		t.Errorf("planned %v, want 2 guests on smith and 1 on jones", got)
	}
	if len(plan.Items) != 1 || plan.Items[0].Outcome != backup.Skipped || !strings.Contains(plan.Items[0].Detail, "Proxmox Backup Server itself") {
		t.Errorf("items %v: want the PBS container, listed as left out", plan.Items)
	}
	p.cluster.SetQuorate(false)
	if _, err := p.PlanGuests(t.Context(), activities.PlanGuestsParams{}); err == nil || !strings.Contains(err.Error(), "quorum") {
		t.Errorf("without quorum: %v", err)
	}
}

func TestOneDumpWhateverHappens(t *testing.T) {
	for name, test := range map[string]struct {
		fault pvetest.Fault
		fails bool // the first try does
	}{
		"nothing happens":                        {},
		"the answer is lost":                     {fault: pvetest.Fault{Method: "POST", Path: "/nodes/*/vzdump", CutAfter: true}, fails: true},
		"the request never arrives":              {fault: pvetest.Fault{Method: "POST", Path: "/nodes/*/vzdump", Cut: true}, fails: true},
		"a proxy gives up waiting for the node":  {fault: pvetest.Fault{Method: "POST", Path: "/nodes/*/vzdump", Code: 596}, fails: true},
		"the guest moves between list and start": {fault: pvetest.Fault{Method: "POST", Path: "/nodes/*/vzdump", Do: func(c *pvetest.Cluster) { c.Move(101, "jones") }}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxmox(t)
			if name != "nothing happens" {
				p.cluster.Fail(test.fault)
			}
			res, err := p.start(101, "night-1.1")
			if (err != nil) != test.fails {
				t.Fatalf("first try: %v, want failure = %v", err, test.fails)
			}
			for range 3 { // retries, and a daemon that lost what it knew
				again, err := p.start(101, "night-1.1")
				must(t, err)
				if res.UPID != "" && again.UPID != res.UPID {
					t.Errorf("a retry found %s, not %s", again.UPID, res.UPID)
				}
				res = again
			}
			end, err := p.AwaitDump(t.Context(), activities.AwaitDumpParams{VMID: 101, UPID: res.UPID})
			must(t, err)
			proof, err := p.ConfirmDump(t.Context(), activities.ConfirmDumpParams{VMID: 101, Backup: end.Backup, Key: "night-1.1"})
			must(t, err)
			if end.State != backup.TaskOK || proof.Wrong != "" || proof.Backup == "" {
				t.Errorf("ended %+v, proof %+v", end, proof)
			}
			after, err := p.start(101, "night-1.1")
			must(t, err)
			if after.Backup == "" || !after.Found {
				t.Errorf("a try after the end started anew: %+v", after)
			}
			if n := len(p.store.Backups()); n != 1 {
				t.Errorf("%d backups, want 1", n)
			}
		})
	}
}

// TestRetryLooksForAMinute: after a try whose end is unknown, the task may appear
// late; only a retry waits for it.
func TestRetryLooksForAMinute(t *testing.T) {
	p := newProxmox(t)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	p.Register(env)
	params := activities.StartDumpParams{VMID: 101, Key: "k.1", Since: p.cluster.Time().Add(-time.Hour)}
	if _, err := env.ExecuteActivity(p.StartDump, params); err != nil {
		t.Fatal(err)
	}
	if p.waited != 0 {
		t.Errorf("the first try waited %s", p.waited)
	}
}

func TestHowADumpEnds(t *testing.T) {
	for name, test := range map[string]struct {
		next  pvetest.Outcome
		lock  string
		state backup.TaskState
		fate  backup.DumpFate
	}{
		"warnings are done":          {next: pvetest.Outcome{Warn: []string{"something odd"}}, state: backup.TaskWarnings, fate: backup.DumpDone},
		"a failure stays one":        {next: pvetest.Outcome{Fail: "command 'x' failed: exit code 2"}, state: backup.TaskFailed, fate: backup.DumpGone},
		"a locked guest comes later": {lock: "snapshot", state: backup.TaskFailed, fate: backup.DumpRetry},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxmox(t)
			if test.lock != "" {
				p.cluster.Lock(101, test.lock)
			} else {
				p.cluster.Next(101, test.next)
			}
			res, err := p.start(101, "k.1")
			must(t, err)
			end, err := p.AwaitDump(t.Context(), activities.AwaitDumpParams{VMID: 101, UPID: res.UPID})
			must(t, err)
			if end.State != test.state {
				t.Errorf("state %s (%s), want %s", end.State, end.Status, test.state)
			}
			if got := backup.FateOf(backup.Task{State: end.State, Status: end.Status}, end.Failure); got != test.fate {
				t.Errorf("fate %s of %+v, want %s", got, end, test.fate)
			}
		})
	}
}

// TestCancelledDumpIsStopped: a backup that nobody waits for would hold the node's
// lock.
func TestCancelledDumpIsStopped(t *testing.T) {
	p := newProxmox(t)
	res, err := p.start(101, "k.1")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.AwaitDump(ctx, activities.AwaitDumpParams{VMID: 101, UPID: res.UPID}); err == nil {
		t.Error("a cancelled wait ended well")
	}
	task, err := p.PVE.Task(t.Context(), res.UPID)
	must(t, err)
	if !task.Ended() || len(p.store.Backups()) != 0 {
		t.Errorf("the task is %s, and there are %d backups; want it stopped and none", task.State, len(p.store.Backups()))
	}
}

// TestACancelledStepIsCancelled, not failed: the cause of a cancelled step's context is
// the SDK's own error, which does not say that it is context.Canceled.
func TestACancelledStepIsCancelled(t *testing.T) {
	p := newProxmox(t)
	p.takes = time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	p.Wait = func(ctx context.Context, _ time.Duration) error {
		cancel(temporal.NewCanceledError())
		return wait.For(ctx, time.Hour)
	}
	if _, err := p.VerifyDatastore(ctx, activities.DatastoreParams{}); !temporal.IsCanceledError(err) {
		t.Errorf("cancelled in mid-wait, it ends with %v (%[1]T)", err)
	}
}

func TestTheDatastoreIsTended(t *testing.T) {
	p := newProxmox(t)
	day := p.cluster.Time().Add(-40 * 24 * time.Hour)
	for i := range 40 {
		for _, group := range []string{"vm/101", "ct/105", "vm/777"} {
			must(t, p.store.Add(backup.GuestBackup{Group: group, Time: day.AddDate(0, 0, i), Size: 1, Finished: true}))
		}
	}
	newest := p.store.Backups()
	p.store.Damage("ct/105", backup.NewestBackup(newest, "ct/105").Time)
	verified, err := p.VerifyDatastore(t.Context(), activities.DatastoreParams{})
	must(t, err)
	if len(verified.Items) != 1 || verified.Items[0].Outcome != backup.Failed || !strings.HasPrefix(verified.Items[0].Name, "ct/105/") {
		t.Errorf("verify said %v, want the damaged backup of ct/105", verified.Items)
	}
	pruned, err := p.PruneDatastore(t.Context(), activities.DatastoreParams{})
	must(t, err)
	left := map[string]int{}
	for _, b := range p.store.Backups() {
		left[b.Group]++
	}
	if left["vm/101"] > 8 || left["vm/101"] < 6 || left["ct/105"] != 40 || left["vm/777"] != 40 {
		t.Errorf("left %v, pruned %+v: want 3/2/3 of vm/101, all of the damaged ct/105 and of the foreign vm/777", left, pruned)
	}
	if _, err := p.CollectGarbage(t.Context(), activities.DatastoreParams{}); err != nil {
		t.Error(err)
	}
	item, err := p.AwaitIdle(t.Context(), activities.DatastoreParams{})
	must(t, err)
	if item.Outcome != backup.OK {
		t.Errorf("idle: %+v", item)
	}
}

func TestABusyDatastoreIsWaitedForHalfAnHour(t *testing.T) {
	p := newProxmox(t)
	must(t, p.store.Begin("vm/101", p.cluster.Time()))
	start := p.cluster.Time()
	item, err := p.AwaitIdle(t.Context(), activities.DatastoreParams{})
	must(t, err)
	if item.Outcome != backup.Warning || p.cluster.Time().Sub(start) < 30*time.Minute {
		t.Errorf("%+v after %s, want a warning after half an hour", item, p.cluster.Time().Sub(start))
	}
}
