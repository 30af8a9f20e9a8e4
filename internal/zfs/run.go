package zfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
}

// DefaultDeadline is generous: 5000 snapshots list in seconds, but a pool that
// is being scrubbed on spinning disks may answer late.
const DefaultDeadline = 5 * time.Minute

// waitDelay is how long a killed command may take to go away. Then it is
// abandoned: a process in uninterruptible sleep ignores SIGKILL (openzfs#3461).
const waitDelay = 10 * time.Second

// maxOutput bounds the stderr that is kept of one command, in bytes.
const maxOutput = 16 << 10

// Error is a command that failed, with what it said.
type Error struct {
	Args   []string
	Code   int    // exit status; -1 if it was killed or never ran
	Stderr string // bounded
	Err    error  // one of package backup's, or the cause
}

// Error names the command and what it said, on one line.
func (e *Error) Error() string {
	said := strings.Join(strings.Fields(e.Stderr), " ")
	if said == "" {
		said = fmt.Sprint(e.Err)
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
func command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// Texts are matched, so they must not be translated. Nothing else of our
	// environment is any of the command's business but PATH.
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=/root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	return cmd
}

// onThread runs f on a thread of its own that lives until f returns. The kernel
// sends Pdeathsig when the *thread* that forked ends, so a command must be
// started and waited for on one that cannot end early (golang/go#27505).
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return <-done
}

// run runs one command and returns its stdout.
func (h *Host) run(ctx context.Context, args ...string) (string, error) {
	out, _, err := h.runBoth(ctx, args...)
	return out, err
}

// runBoth returns stdout even of a command that failed: listings of several names
// print the ones that are there.
func (h *Host) runBoth(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	d := h.Deadline
	if d == 0 {
		d = DefaultDeadline
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %s; the pool may be hung", d))
	defer cancel()
	cmd := command(ctx, args)
	var out bytes.Buffer
	errOut := &tail{max: maxOutput}
	cmd.Stdout, cmd.Stderr = &out, errOut
	err = onThread(cmd.Run)
	if err != nil {
		err = commandError(ctx, args, errOut.String(), err)
	}
	return out.String(), errOut.String(), err
}

// commandError classifies a failed command.
func commandError(ctx context.Context, args []string, stderr string, err error) error {
	e := &Error{Args: args, Code: -1, Stderr: stderr, Err: err}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e.Code = exit.ExitCode()
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
		return e
	}
	if known := classify(stderr); known != nil {
		e.Err = known
	}
	return e
}

// tail keeps the last max bytes written to it.
type tail struct {
	max int
	buf []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

// String is what is left.
func (t *tail) String() string { return string(t.buf) }

var _ io.Writer = (*tail)(nil)
