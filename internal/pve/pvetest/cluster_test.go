package pvetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pin"
	"triplicate/internal/pve/pvetest"
)

func TestOneVzdumpPerNodeAtATime(t *testing.T) {
	l := newLab(t, pvetest.Config{Nodes: []string{"smith", "jones"}, Guests: append([]pvetest.Guest{{VMID: 110, Node: "jones"}}, guests...)})
	first, second := l.start(t, "smith", "vmid=101&storage=pbs-smith"), l.start(t, "smith", "vmid=105&storage=pbs-smith&lockwait=10")
	other := l.start(t, "jones", "vmid=110&storage=pbs-smith")
	l.Advance(2 * time.Minute)
	if lines := l.lines(t, second); !slices.Equal(lines, []string{"INFO: trying to get global lock - waiting..."}) {
		t.Errorf("the second says %q", lines)
	}
	if len(l.lines(t, other)) < 10 || l.status(t, first) != "running" {
		t.Error("the first of each node should be under way")
	}
	l.Advance(4 * time.Minute) // the first takes 307 s
	if lines := l.lines(t, second); len(lines) < 3 || lines[1] != "INFO: got global lock" || l.status(t, first) != "stopped OK" {
		t.Errorf("the second says %q", lines)
	}
	if at := l.start(t, "smith", "vmid=101&storage=pbs-smith&lockwait=0"); l.status(t, at) != "stopped unexpected status" {
		t.Errorf("lockwait=0: %s", l.status(t, at))
	}
	if a := l.ask(t, "POST", "/nodes/smith/vzdump", "vmid=110&storage=pbs-smith"); string(a.Data) != `"OK"` {
		t.Errorf("a guest of another node: %s", a.Data)
	}
}

func TestHooks(t *testing.T) {
	type call struct{ What, Group string }
	for name, test := range map[string]struct {
		begin, save error
		vmid        int
		status      string
		failed      string
		want        []string
	}{
		"all is well":      {nil, nil, 101, "stopped OK", "", []string{"begin vm/101", "save vm/101"}},
		"it is down":       {fmt.Errorf("dial: %w", backup.ErrUnreachable), nil, 101, "", "could not activate storage 'pbs-smith': pbs-smith: error fetching datastores - 500 Can't connect to 192.0.2.9:8007 (Connection refused)", []string{"begin vm/101"}},
		"it is read-only":  {errors.New("read-only maintenance mode: offsite"), nil, 101, "stopped job errors", "VM 101 qmp command 'backup' failed - backup connect failed: command error: read-only maintenance mode: offsite", []string{"begin vm/101"}},
		"for a container":  {errors.New("read-only maintenance mode: offsite"), nil, 105, "stopped job errors", "command '/usr/bin/proxmox-backup-client backup --crypt-mode=none root.pxar:/mnt/vzsnap0' failed: exit code 255", []string{"begin ct/105"}},
		"full at its end":  {nil, errors.New("ENOSPC: No space left on device"), 101, "stopped job errors", "backup finish failed: command error: ENOSPC: No space left on device", []string{"begin vm/101", "save vm/101", "abort vm/101"}},
		"it fails earlier": {nil, nil, 999, "stopped job errors", "unable to find VM '999'", nil},
	} {
		var calls []string
		note := func(c call) { calls = append(calls, c.What+" "+c.Group) }
		l := newLab(t, pvetest.Config{
			Guests: guests,
			Begin:  func(group string, _ time.Time) error { note(call{"begin", group}); return test.begin },
			Save:   func(b backup.GuestBackup) error { note(call{"save", b.Group}); return test.save },
			Abort:  func(group string, _ time.Time) { note(call{"abort", group}) },
		})
		id := l.start(t, "smith", fmt.Sprintf("vmid=%d&storage=pbs-smith&notes-template=x", test.vmid))
		l.Advance(time.Hour)
		log := backup.ParseDump(l.lines(t, id))
		if got := l.status(t, id); test.status != "" && got != test.status || log.Failed != test.failed {
			t.Errorf("%s: %s, failed %q; want %s, %q", name, got, log.Failed, test.status, test.failed)
		}
		if diff := cmp.Diff(test.want, calls); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", name, diff)
		}
		if test.vmid != 999 {
			if lock := strings.Contains(l.ask(t, "GET", "/cluster/resources?type=vm", "").Body, `"lock"`); lock {
				t.Errorf("%s: left locked", name)
			}
		}
	}
}

func TestAbortIsToldOfTasksThatDie(t *testing.T) {
	aborted := 0
	l := newLab(t, pvetest.Config{Guests: guests, Abort: func(string, time.Time) { aborted++ }})
	id := l.start(t, "smith", "vmid=101&storage=pbs-smith")
	l.ask(t, "DELETE", "/nodes/smith/tasks/"+url.PathEscape(id), "")
	l.Advance(2 * time.Second)
	l.start(t, "smith", "vmid=105&storage=pbs-smith")
	waits := l.start(t, "smith", "vmid=101&storage=pbs-smith")
	l.ask(t, "DELETE", "/nodes/smith/tasks/"+url.PathEscape(waits), "")
	l.Advance(2 * time.Second)
	if got := l.status(t, waits); got != "stopped unexpected status" { // it exits without a last line
		t.Errorf("stopped while it waited for the lock: %s", got)
	}
	l.Reboot("smith")
	if aborted != 2 || l.status(t, id) != "stopped interrupted by signal" {
		t.Errorf("%d aborted, the first %s", aborted, l.status(t, id))
	}
}

func TestViolations(t *testing.T) {
	note := "&storage=pbs-smith&notes-template=" + url.QueryEscape("{{guestname}} triplicate-run=n1")
	for name, test := range map[string]struct {
		do   func(*lab)
		want int
	}{
		"one each is fine":    {func(l *lab) { l.start(t, "smith", "vmid=101"+note); l.start(t, "smith", "vmid=105"+note) }, 0},
		"again while it runs": {func(l *lab) { l.start(t, "smith", "vmid=101"+note); l.start(t, "smith", "vmid=101"+note) }, 1},
		"again after it succeeded": {func(l *lab) {
			l.start(t, "smith", "vmid=101"+note)
			l.Advance(time.Hour)
			l.start(t, "smith", "vmid=101"+note)
		}, 1},
		"again after it failed is a retry": {func(l *lab) {
			l.Next(101, pvetest.Outcome{Fail: "x"})
			l.start(t, "smith", "vmid=101"+note)
			l.Advance(time.Hour)
			l.start(t, "smith", "vmid=101"+note)
		}, 0},
		"the next night":  {func(l *lab) { l.start(t, "smith", "vmid=101"+note); l.start(t, "smith", "vmid=101"+note+"2") }, 0},
		"stop=1":          {func(l *lab) { l.ask(t, "POST", "/nodes/smith/vzdump", "vmid=101&stop=1") }, 1},
		"unlocking":       {func(l *lab) { l.ask(t, "PUT", "/nodes/smith/qemu/101/config", "delete=lock&skiplock=1") }, 2},
		"outside the API": {func(l *lab) { l.ask(t, "GET", "/nosuch", "") }, 1},
	} {
		l := newLab(t, pvetest.Config{Guests: guests})
		test.do(l)
		if got := l.Violations(); len(got) != test.want {
			t.Errorf("%s: %d violations, want %d: %q", name, len(got), test.want, got)
		}
	}
}

func TestTheSameScriptIsTheSameNight(t *testing.T) {
	run := func() string {
		l := newLab(t, pvetest.Config{Guests: guests, Tick: 7 * time.Second})
		var b strings.Builder
		for range 2 {
			id := l.start(t, "smith", "vmid=101,105&storage=pbs-smith")
			for l.status(t, id) == "running" {
			}
			fmt.Fprintln(&b, id, l.lines(t, id), l.Backups())
		}
		for _, r := range l.Journal() {
			fmt.Fprintln(&b, r)
		}
		return b.String()
	}
	if diff := cmp.Diff(run(), run()); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}

func TestServe(t *testing.T) {
	began := time.Now()
	c, err := pvetest.New(pvetest.Config{Nodes: []string{"smith", "jones"}, Guests: guests, Now: time.Now, Speed: 3600})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Serve(t.Context(), []string{"127.0.0.1:0"}); err == nil {
		t.Fatal("one address for two nodes is enough")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Serve(ctx, []string{"127.0.0.1:0", "127.0.0.1:0"}) }()
	for len(c.URLs()) < 2 && ctx.Err() == nil {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it does not listen")
		}
	}
	l := &lab{c, pin.Client(5*time.Second, c.Fingerprints()...)}
	defer l.http.CloseIdleConnections()
	id := l.start(t, "jones", "all=1&storage=pbs-smith")
	if got := l.status(t, id); got != "stopped OK" {
		t.Errorf("a job without guests: %s", got)
	}
	id = l.start(t, "smith", "vmid=105&storage=pbs-smith")
	for l.status(t, id) == "running" { // 164 s, an hour passes in a second
		if time.Since(began) > 30*time.Second {
			t.Fatal("its clock stands still")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
