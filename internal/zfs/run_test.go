package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
)

// stub puts a shell script named zfs before everything on PATH.
func stub(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zfs"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// unkillable is a host whose commands of one verb cannot be killed: whoever waits
// for them waits until the test is over, as for a process that hangs in the
// kernel.
func unkillable(t *testing.T, verb string) *Host {
	over, gone := make(chan struct{}), make(chan struct{}, 1)
	h := &Host{Deadline: 50 * time.Millisecond, delay: 20 * time.Millisecond}
	h.wait = func(cmd *exec.Cmd) error {
		if cmd.Args[1] == verb {
			<-over
			defer func() { gone <- struct{}{} }()
		}
		return cmd.Wait()
	}
	t.Cleanup(func() { close(over); <-gone })
	return h
}

// soon fails the test if f has not returned long after it should have.
func soon(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("whoever waits for a hung command hangs with it")
		return nil
	}
}

func TestHungCommandIsAbandoned(t *testing.T) {
	stub(t, "echo half; exec sleep 60")
	h := unkillable(t, "list")
	var out string
	err := soon(t, func() (err error) {
		out, err = h.run(t.Context(), "zfs", "list")
		return err
	})
	if !errors.Is(err, errAbandoned) || !strings.Contains(err.Error(), "no answer within 50ms") || out != "" {
		t.Errorf("run = %q, %v; want nothing, and both reasons", out, err)
	}
}

func TestHungReceiveIsAbandoned(t *testing.T) {
	stub(t, `case $1 in send) echo data;; *) cat >/dev/null; exec sleep 60;; esac`)
	h := unkillable(t, "receive")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := time.AfterFunc(50*time.Millisecond, func() { cancel(backup.ErrStalled) })
	defer stop.Stop()
	err := soon(t, func() error { return h.Transfer(ctx, aTransfer(), nil) })
	if !errors.Is(err, errAbandoned) || !errors.Is(err, backup.ErrStalled) {
		t.Errorf("error = %v, want why it was given up, and that it was abandoned", err)
	}
}

func aTransfer() backup.Transfer {
	return backup.Transfer{To: backup.Snapshot{Dataset: "nvme/a", Name: "1"}, Target: "hdd/a"}
}

// gone is what zfs says of n snapshots that are not there.
func gone(n int) string {
	return fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo "cannot open 'nvme/a@triplicate-2026112$i': dataset does not exist" >&2; i=$((i+1)); done;`, n)
}

// TestManyMissingNames: hundreds of names that are not there say more than is
// kept of stderr, which must neither become an error nor hide one.
func TestManyMissingNames(t *testing.T) {
	there := `printf 'nvme/a@1\tguid\t7\t-\n';`
	for name, tt := range map[string]struct {
		script string
		fails  error
		found  int
	}{
		"all missing":                {gone(500) + "exit 1", nil, 0},
		"all but one":                {there + gone(500) + "exit 1", nil, 1},
		"something else before them": {"echo 'cannot open nvme/a: pool I/O is currently suspended' >&2;" + gone(500) + "exit 1", backup.ErrSuspended, 0},
		"something else after them":  {gone(500) + "echo 'cannot open nvme/a: pool I/O is currently suspended' >&2; exit 1", backup.ErrSuspended, 0},
		"killed on the way":          {there + gone(1) + "exec sleep 60", context.DeadlineExceeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			stub(t, tt.script)
			h := &Host{}
			ctx := t.Context()
			if errors.Is(tt.fails, context.DeadlineExceeded) {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			facts, err := h.Facts(ctx, "nvme/a@1", "nvme/a@2")
			if !errors.Is(err, tt.fails) || tt.fails == nil && err != nil || len(facts) != tt.found {
				t.Errorf("Facts = %v, %v; want %d and %v", facts, err, tt.found, tt.fails)
			}
		})
	}
}

func TestStderrKeepsWholeLines(t *testing.T) {
	s := &stderr{max: 20}
	for _, part := range []string{"first line\nsec", "ond line\nthird", " line\nfour"} {
		fmt.Fprint(s, part)
	}
	if got, want := s.String(), "third line\nfour"; got != want {
		t.Errorf("kept %q, want %q", got, want)
	}
	fmt.Fprint(s, strings.Repeat("x", 100))
	if got := len(s.String()); got > 2*s.max {
		t.Errorf("%d bytes of a line without an end were kept", got)
	}
}

// TestTransferSaysWhy: of two commands that failed, the cause comes first.
func TestTransferSaysWhy(t *testing.T) {
	cut := `echo "cannot receive: checksum mismatch or incomplete stream." >&2; exit 1`
	for name, tt := range map[string]struct {
		send, receive string
		want          error
		says          []string // in this order
	}{
		"the source cannot be read": {
			`echo "warning: cannot send 'nvme/a@1': Input/output error" >&2; exit 1`, "cat >/dev/null; " + cut,
			backup.ErrReadError, []string{"Input/output error", "incomplete stream"},
		},
		"a checksum of the source does not match": {
			`echo "warning: cannot send 'nvme/a@1': Invalid exchange" >&2; exit 1`, "cat >/dev/null; " + cut,
			backup.ErrReadError, []string{"Invalid exchange", "incomplete stream"},
		},
		"the source says something new": {
			`echo "cannot send: out of cheese" >&2; exit 1`, "cat >/dev/null; " + cut,
			backup.ErrIncomplete, []string{"out of cheese", "incomplete stream"},
		},
		"the key of the source is not loaded": {
			`echo "warning: cannot send 'nvme/a@1': dataset key must be loaded" >&2; exit 1`, "cat >/dev/null; " + cut,
			backup.ErrKeyUnavailable, []string{"key must be loaded", "incomplete stream"},
		},
		"the target is full, and the sender dies of it": {
			"exec yes", `echo "cannot receive: out of space" >&2; exit 1`,
			backup.ErrNoSpace, []string{"out of space"},
		},
		"the target is full, and the sender says that nobody reads": {
			`yes 2>/dev/null; echo "warning: cannot send 'nvme/a@1': Broken pipe" >&2; exit 1`, `echo "cannot receive: out of space" >&2; exit 1`,
			backup.ErrNoSpace, []string{"out of space"},
		},
		"only the sender fails": {
			`echo "cannot send: out of cheese" >&2; exit 1`, "cat >/dev/null", nil, []string{"out of cheese"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			stub(t, "case $1 in send) "+tt.send+";; *) "+tt.receive+";; esac")
			err := (&Host{}).Transfer(t.Context(), aTransfer(), nil)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			rest, found := err.Error(), false
			for _, part := range tt.says {
				if _, rest, found = strings.Cut(rest, part); !found {
					t.Errorf("%q does not say %q, in this order", err, tt.says)
				}
			}
			if len(tt.says) == 1 && strings.Contains(rest, "receive") {
				t.Errorf("%q says more than the cause", err)
			}
		})
	}
}
