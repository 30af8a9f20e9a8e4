package zfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Host runs the commands of one machine. The zero value is ready and finds zfs
// and zpool on PATH. It may be used by several goroutines.
type Host struct {
	// Deadline bounds every command but transfers; zero means DefaultDeadline.
	// A command on a suspended pool may hang in the kernel for ever.
	Deadline time.Duration
	// MountRoot is the folder below which snapshots are mounted; empty means
	// DefaultMountRoot.
	MountRoot string

	// In tests of commands that cannot be killed: instead of waitDelay, and of
	// (*exec.Cmd).Wait.
	delay time.Duration
	wait  func(*exec.Cmd) error
}

// DefaultDeadline is generous: 5000 snapshots list in seconds, but a pool that
// is being scrubbed on spinning disks may answer late.
const DefaultDeadline = 5 * time.Minute

// waitDelay is how long a killed command may take to go away, and half of it what
// it started may keep its pipes open. Then it is abandoned: a process in
// uninterruptible sleep ignores SIGKILL (openzfs#3461).
const waitDelay = 10 * time.Second

// errAbandoned is a command that outlived its SIGKILL. It still runs, if it ever
// comes back from the kernel, and somebody still waits for it: see execute.
var errAbandoned = errors.New("it cannot be killed and was abandoned")

// maxOutput bounds the stderr that is kept of one command, in bytes.
const maxOutput = 16 << 10

// Error is a command that failed, with what it said.
type Error struct {
	Args   []string
	Code   int    // exit status; -1 if it was killed or never ran
	Stderr string // bounded
	Err    error  // one of package backup's, or the cause

	cause error // as os/exec has it
}

// Error names the command and what it said, on one line.
func (e *Error) Error() string {
	said := strings.Join(strings.Fields(e.Stderr), " ")
	switch {
	case said == "":
		said = fmt.Sprint(e.Err)
	case e.Code < 0: // what it said last is not why it ended
		said = fmt.Sprint(e.Err) + ": " + said
	}
	cmd := strings.Join(e.Args, " ")
	if len(cmd) > 200 {
		cmd = cmd[:200] + " ..."
	}
	return fmt.Sprintf("%s: %s (exit status %d)", cmd, said, e.Code)
}

// Unwrap gives the sentinel that callers decide on.
func (e *Error) Unwrap() error { return e.Err }

// command prepares a child that dies with us, even by kill -9, and can be killed
// with everything it started.
func (h *Host) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// Texts are matched, so they must not be translated. Nothing else of our
	// environment is any of the command's business but PATH.
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = h.patience() / 2
	return cmd
}

func (h *Host) patience() time.Duration { return cmp.Or(h.delay, waitDelay) }

// execute starts a command made for ctx, calls started, and waits for its end. If
// it does not even die of the SIGKILL that it gets when ctx ends, the answer is
// errAbandoned: cmd.WaitDelay bounds its pipes, but nothing bounds cmd.Wait.
//
// Then the thread that waits is leaked, on purpose, until the kernel lets the
// command go. Whoever called, with locks and an activity's slot, is not.
func (h *Host) execute(ctx context.Context, cmd *exec.Cmd, started func()) error {
	done := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the *thread* that forked ends, so a command
		// must be started and waited for on one that cannot end early (golang/go#27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started()
		if err == nil && h.wait != nil {
			err = h.wait(cmd)
		} else if err == nil {
			err = cmd.Wait()
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	last := time.NewTimer(h.patience())
	defer last.Stop()
	select {
	case err := <-done:
		return err
	case <-last.C:
		return errAbandoned
	}
}

// run runs one command and returns its stdout.
func (h *Host) run(ctx context.Context, args ...string) (string, error) {
	out, _, err := h.runBoth(ctx, args...)
	return out, err
}

// runBoth returns what the command said, too.
func (h *Host) runBoth(ctx context.Context, args ...string) (stdout, said string, err error) {
	errOut := &stderr{max: maxOutput}
	stdout, err = h.runTo(ctx, errOut, args)
	return stdout, errOut.String(), err
}

// runTo returns stdout even of a command that failed: listings of several names
// print the ones that are there.
func (h *Host) runTo(ctx context.Context, errOut *stderr, args []string) (string, error) {
	d := cmp.Or(h.Deadline, DefaultDeadline)
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %s; the pool may be hung", d))
	defer cancel()
	cmd := h.command(ctx, args)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, errOut
	err := h.execute(ctx, cmd, func() {})
	if err == nil {
		return out.String(), nil
	}
	failed := commandError(ctx, args, errOut.String(), err)
	if errors.Is(err, errAbandoned) {
		return "", failed // it may still write to out
	}
	return out.String(), failed
}

// commandError classifies a failed command.
func commandError(ctx context.Context, args []string, said string, err error) error {
	e := &Error{Args: args, Code: -1, Stderr: said, Err: err, cause: err}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e.Code = exit.ExitCode()
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
		if errors.Is(err, errAbandoned) {
			e.Err = fmt.Errorf("%w; %w", e.Err, errAbandoned)
		}
		return e
	}
	if known := classify(said); known != nil {
		e.Err = known
	}
	return e
}
