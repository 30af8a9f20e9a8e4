package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// wait returns when the VM answers. QEMU accepts connections before the guest
// does, so a real answer is asked for.
func wait(addr, seconds string) error {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Duration(n) * time.Second); ; time.Sleep(30 * time.Millisecond) {
		if answersNow(addr) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("no answer from %s in %d s", addr, n)
		}
	}
}

func answersNow(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(1500 * time.Millisecond))
	if _, err := io.WriteString(c, `{"args":["true"]}`+"\n"); err != nil {
		return false
	}
	kind, _, err := readFrame(c)
	return err == nil && kind == frameExit
}

// forward listens here and carries each connection to a port of the VM's own
// loopback, where the daemon listens: QEMU's forwards cannot reach that.
func forward(addr, listen, port string) error {
	if _, err := strconv.Atoi(port); err != nil {
		return fmt.Errorf("port %q: %w", port, err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = c.Close() }()
			inner, err := net.DialTimeout("tcp", addr, 5*time.Second)
			if err != nil {
				return
			}
			line, _ := json.Marshal(request{Dial: "127.0.0.1:" + port})
			if _, err := inner.Write(append(line, '\n')); err == nil {
				join(c, c, inner)
			}
		}()
	}
}

// monitor asks QEMU one thing and prints the answer.
func monitor(socket, command string) error {
	c, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := untilPrompt(c); err != nil {
		return err
	}
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return err
	}
	text, err := untilPrompt(c)
	if _, after, ok := strings.Cut(text, "\n"); ok { // the first line echoes the command
		text = after
	}
	_, _ = io.WriteString(os.Stdout, strings.ReplaceAll(text, "\r", ""))
	return err
}

func untilPrompt(r io.Reader) (string, error) {
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		text.Write(buf[:n])
		if before, ok := strings.CutSuffix(text.String(), "(qemu) "); ok {
			return before, nil
		}
		if err != nil {
			return text.String(), err
		}
	}
}
