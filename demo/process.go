package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// process is a command that runs beside the story.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// begin starts a command that runs until it is ended, or this process is. What it
// prints goes to a log of its name.
func (m *fake) begin(name string, args ...string) error {
	base := filepath.Base(name)
	log, err := os.OpenFile(m.at(base+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	p := &process{cmd: m.command(context.Background(), name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the child ends (prctl(2)).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	m.running[base] = p
	return nil
}

// end ends a command that was begun.
func (m *fake) end(name string, how syscall.Signal) {
	if p := m.running[name]; p != nil {
		_ = p.cmd.Process.Signal(how)
		<-p.ended
		delete(m.running, name)
	}
}
