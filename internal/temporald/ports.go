package temporald

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// probePort says whether an address is free, and if not, who has it.
func probePort(addr string, port int) error {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l.Close()
	}
	by := ""
	if who := listener(port); who != "" {
		by = " by " + who
	}
	return fmt.Errorf("%w: %s is in use%s; stop that program or set temporal.port (and temporal.ui_port) in the config: %w",
		ErrPortTaken, addr, by, err)
}

// listener finds the process that listens on a port, as far as /proc lets us see.
func listener(port int) string {
	inode := ""
	data, _ := os.ReadFile("/proc/net/tcp")
	want := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], want) && f[3] == "0A" { // LISTEN
			inode = f[9]
		}
	}
	if inode == "" {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && link == "socket:["+inode+"]" {
			pid := strings.Split(fd, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
		}
	}
	return ""
}

// LockDir makes the state directory if need be and takes it for this process. The lock goes with the
// process, however it ends; the file is only its place.
func LockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, "triplicated.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path)
		_ = f.Close()
		return nil, fmt.Errorf("%w with the state directory %s (pid %s); stop it first, or give this one another state_directory",
			ErrSecondInstance, dir, strings.TrimSpace(string(pid)))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock file: %w", err)
	}
	return f, nil
}
