package zfs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"triplicate/internal/backup"
)

// Token decodes a resume token; see activities.Reader.
func (h *Host) Token(ctx context.Context, token string) (backup.Token, error) {
	out, stderr, err := h.runBoth(ctx, "zfs", "send", "-nvP", "-t", token)
	if err != nil {
		return backup.Token{}, fmt.Errorf("decode resume token: %w", err)
	}
	var t backup.Token
	for line := range strings.Lines(out + stderr) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			continue
		}
		switch k {
		case "toname":
			t.ToName = v
		case "toguid":
			t.ToGUID = hexGUID(v)
		case "fromguid":
			t.FromGUID = hexGUID(v)
		case "bytes":
			t.Bytes = int64(hexGUID(v))
		case "rawok":
			t.Raw = v != "0" && v != "0x0"
		}
	}
	if t.ToName == "" || t.ToGUID == 0 {
		return t, fmt.Errorf("decode resume token: no toname or toguid in %q: %w", out, backup.ErrStaleToken)
	}
	return t, nil
}

// hexGUID reads the nvlist's 0x... form.
func hexGUID(s string) backup.GUID {
	n, _ := strconv.ParseUint(s, 0, 64)
	return backup.GUID(n)
}

// sendArgs are the arguments of zfs send. The flags are always the same, because
// a receiver that once got large blocks refuses a stream without them
// ("incremental send stream requires -L"). -c sends blocks as they are on disk.
func sendArgs(t backup.Transfer, flags ...string) []string {
	args := append([]string{"zfs", "send"}, flags...)
	if t.Token != "" {
		return append(args, "-t", t.Token)
	}
	if t.Raw {
		args = append(args, "-w")
	}
	args = append(args, "-L", "-c", "-e")
	switch {
	case t.From != nil:
		args = append(args, "-i", t.From.String())
	case t.FromMark != nil:
		args = append(args, "-i", t.FromMark.String())
	}
	return append(args, t.To.String())
}

// receiveArgs are the arguments of zfs receive: unmounted and resumable, never
// forced. Properties differ by type; canmount on a volume makes receive fail.
func receiveArgs(t backup.Transfer) []string {
	args := []string{"zfs", "receive", "-s", "-u"}
	if !t.NewTarget {
		return append(args, t.Target)
	}
	if t.Type == backup.Volume {
		args = append(args, "-o", "readonly=on", "-o", "volmode=none", "-o", "snapdev=hidden", "-o", "refreservation=none")
	} else {
		args = append(args, "-o", "readonly=on", "-o", "canmount=noauto", "-o", "setuid=off", "-o", "exec=off",
			"-o", "devices=off", "-x", "mountpoint", "-x", "sharenfs", "-x", "sharesmb")
	}
	return append(append(args, optionProps(t.Props)...), t.Target)
}

func checkTransfer(t backup.Transfer) error {
	names := []string{t.To.String(), t.Target}
	if t.From != nil {
		names = append(names, t.From.String())
	}
	if t.FromMark != nil {
		names = append(names, t.FromMark.String())
	}
	if strings.HasPrefix(t.Token, "-") || strings.ContainsAny(t.Token, " \t\n/") {
		return fmt.Errorf("not a resume token: %.20q: %w", t.Token, backup.ErrStaleToken)
	}
	return checkNames(names...)
}

// Estimate is the stream's size; see activities.Transferrer.
func (h *Host) Estimate(ctx context.Context, t backup.Transfer) (int64, error) {
	if err := checkTransfer(t); err != nil {
		return 0, err
	}
	out, stderr, err := h.runBoth(ctx, sendArgs(t, "-nvP")...)
	if err != nil {
		return 0, fmt.Errorf("estimate: %w", err)
	}
	for line := range strings.Lines(out + stderr) {
		if v, ok := strings.CutPrefix(line, "size\t"); ok {
			return number(strings.TrimSpace(v)), nil
		}
	}
	return 0, nil
}

// Transfer pipes send into receive; see activities.Transferrer. The two are
// joined by a pipe of the kernel: the bytes never pass through this process.
func (h *Host) Transfer(ctx context.Context, t backup.Transfer, progress func(int64)) error {
	if err := checkTransfer(t); err != nil {
		return err
	}
	if progress == nil {
		progress = func(int64) {}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	send, receive := h.command(ctx, sendArgs(t, "-v", "-P")), h.command(ctx, receiveArgs(t))
	send.Stdout, receive.Stdin = w, r
	sendSaid, receiveSaid := &stderr{max: maxOutput}, &stderr{max: maxOutput}
	receive.Stderr = receiveSaid
	lines, done := progressWriter(sendSaid, progress)
	send.Stderr = lines

	received := make(chan error, 1)
	go func() { received <- h.execute(ctx, receive, func() { _ = r.Close() }) }()
	// Our end of the pipe must go, or the receiver would wait for us for ever.
	sendErr := h.execute(ctx, send, func() { _ = w.Close() })
	_ = lines.Close()
	<-done
	receiveErr := <-received
	if sendErr != nil {
		sendErr = sendError(ctx, send.Args, said(sendSaid.String()), sendErr)
	}
	if receiveErr != nil {
		receiveErr = commandError(ctx, receive.Args, receiveSaid.String(), receiveErr)
	}
	return transferError(sendErr, receiveErr)
}

// transferError tells the cause apart from its echo. When the receiver ends, the
// sender dies of SIGPIPE and says nothing: what the receiver says is why. When the
// sender ends, all that the receiver sees is a stream that was cut, so what the
// sender says comes first.
func transferError(sendErr, receiveErr error) error {
	switch {
	case sendErr == nil && receiveErr == nil:
		return nil
	case sendErr == nil, receiveErr != nil && brokenPipe(sendErr):
		return fmt.Errorf("receive: %w", receiveErr)
	case receiveErr == nil:
		return fmt.Errorf("send: %w", sendErr)
	}
	return fmt.Errorf("send: %w; receive: %w", sendErr, receiveErr)
}

// sendError is commandError for the sender. dump_ioctl in libzfs_sendrecv.c passes
// on the plain text of EIO, and of EBADE, which is how Linux spells a checksum
// that does not match.
func sendError(ctx context.Context, args []string, said string, err error) error {
	failed := commandError(ctx, args, said, err)
	var e *Error
	if ctx.Err() == nil && errors.As(failed, &e) &&
		(strings.Contains(said, "Input/output error") || strings.Contains(said, "Invalid exchange")) {
		e.Err = backup.ErrReadError
	}
	return failed
}

// said drops the progress lines from what a sender said.
func said(stderr string) string {
	var keep []string
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "\t") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "")
}

// brokenPipe says whether a sender ended because its reader had gone: killed by
// the signal, or ended with its number, or with the words of EPIPE.
func brokenPipe(sendErr error) bool {
	var e *Error
	if !errors.As(sendErr, &e) {
		return false
	}
	var exit *exec.ExitError
	if errors.As(e.cause, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() && status.Signal() == syscall.SIGPIPE {
			return true
		}
	}
	return e.Code == 128+int(syscall.SIGPIPE) || strings.Contains(e.Stderr, "Broken pipe")
}

// progressWriter reads `zfs send -vP` lines, "HH:MM:SS\tBYTES\tNAME" once a
// second, and keeps all text for errors.
func progressWriter(keep io.Writer, progress func(int64)) (io.WriteCloser, <-chan struct{}) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		scan := bufio.NewScanner(r)
		for scan.Scan() {
			_, _ = io.WriteString(keep, scan.Text()+"\n")
			f := strings.Split(scan.Text(), "\t")
			if len(f) == 3 && strings.Count(f[0], ":") == 2 {
				progress(number(f[1]))
			}
		}
		_, _ = io.Copy(io.Discard, r) // a line too long must not block the sender
	}()
	return w, done
}

// AbortReceive discards a partial receive; see activities.Transferrer.
func (h *Host) AbortReceive(ctx context.Context, target string) error {
	if err := checkName(target); err != nil {
		return err
	}
	_, err := h.run(ctx, "zfs", "receive", "-A", target)
	var e *Error
	if errors.As(err, &e) && strings.Contains(e.Stderr, "does not have any resumable receive state") {
		return nil
	}
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("abort receive: %w", err)
	}
	return nil
}
