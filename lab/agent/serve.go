package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// serve answers callers for ever.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go handle(c)
	}
}

func handle(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReaderSize(c, maxFrame)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return
	}
	var q request
	if json.Unmarshal(line, &q) != nil {
		return
	}
	if q.Dial != "" {
		carry(c, r, q.Dial)
		return
	}
	if len(q.Args) == 0 {
		return
	}
	var mu sync.Mutex
	res, _ := json.Marshal(command(c, r, &mu, q))
	_, _ = frameWriter{c, &mu, frameExit}.Write(res)
}

// command runs one command in a process group of its own. When the caller goes
// away the group is killed: a test that was interrupted leaves nothing behind.
func command(c net.Conn, r io.Reader, mu *sync.Mutex, q request) result {
	ctx := context.Background()
	if q.Seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.Seconds)*time.Second)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, q.Args[0], q.Args[1:]...)
	cmd.Dir, cmd.Env = q.Dir, append(os.Environ(), q.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stdout, cmd.Stderr = frameWriter{c, mu, frameStdout}, frameWriter{c, mu, frameStderr}
	cmd.WaitDelay = 2 * time.Second // what it left in the background may keep its pipes
	in, err := cmd.StdinPipe()
	if err != nil {
		return result{Code: exitLab, Err: err.Error()}
	}
	if err := cmd.Start(); err != nil {
		return result{Code: 127, Err: err.Error()}
	}
	go input(r, in, cmd.Process.Pid)
	err = cmd.Wait()
	res := result{Code: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		res.Code = 128 + int(ws.Signal())
	}
	if ctx.Err() != nil {
		res.Err = "out of time"
	} else if err != nil && !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, exec.ErrWaitDelay) {
		res.Err = err.Error()
	}
	return res
}

// input passes on the caller's stdin and signals.
func input(r io.Reader, in io.WriteCloser, pid int) {
	for {
		kind, p, err := readFrame(r)
		switch {
		case err != nil:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			return
		case kind == frameStdin:
			_, _ = in.Write(p)
		case kind == frameEOF:
			_ = in.Close()
		case kind == frameSignal && len(p) == 1:
			_ = syscall.Kill(-pid, syscall.Signal(p[0]))
		}
	}
}

// carry joins the caller's connection to a port inside.
func carry(c net.Conn, r io.Reader, addr string) {
	inner, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return
	}
	join(c, r, inner)
}

// join copies both ways until both have ended.
func join(a net.Conn, fromA io.Reader, b net.Conn) {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(b, fromA)
		closeWrite(b)
		close(done)
	}()
	_, _ = io.Copy(a, b)
	closeWrite(a)
	<-done
	_ = b.Close()
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}
