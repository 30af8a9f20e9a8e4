package main

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// call runs a command in the VM. stdin nil means none.
func call(addr string, q request, stdin io.Reader, out, errOut io.Writer) (int, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	line, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			if n, ok := s.(syscall.Signal); ok {
				_, _ = frameWriter{c, &mu, frameSignal}.Write([]byte{byte(n)})
			}
		}
	}()
	go func() {
		if stdin != nil {
			_, _ = io.Copy(frameWriter{c, &mu, frameStdin}, stdin)
		}
		_, _ = frameWriter{c, &mu, frameEOF}.Write(nil)
	}()
	return answers(c, out, errOut)
}

// answers copies the command's output and returns its exit status.
func answers(c io.Reader, out, errOut io.Writer) (int, error) {
	r := bufio.NewReaderSize(c, maxFrame)
	for {
		kind, p, err := readFrame(r)
		if err != nil {
			return 0, fmt.Errorf("the VM went away: %w", err)
		}
		switch kind {
		case frameStdout:
			_, err = out.Write(p)
		case frameStderr:
			_, err = errOut.Write(p)
		case frameExit:
			var res result
			if err := json.Unmarshal(p, &res); err != nil {
				return 0, err
			}
			if res.Err != "" {
				fmt.Fprintln(errOut, "lab:", res.Err)
			}
			return res.Code, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// execute is the verb exec.
func execute(addr string, args []string) (int, error) {
	var q request
	for len(args) > 1 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		switch value := args[1]; args[0] {
		case "-C":
			q.Dir = value
		case "-e":
			q.Env = append(q.Env, value)
		case "--timeout":
			n, err := strconv.Atoi(value)
			if err != nil {
				return 0, fmt.Errorf("--timeout: want seconds: %w", err)
			}
			q.Seconds = n
		default:
			return 0, fmt.Errorf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, fmt.Errorf("usage: vm exec [--timeout S] [-C dir] [-e K=V] -- command...")
	}
	q.Args = args
	var in io.Reader
	if fi, err := os.Stdin.Stat(); err == nil && fi.Mode()&os.ModeCharDevice == 0 {
		in = os.Stdin
	}
	return call(addr, q, in, os.Stdout, os.Stderr)
}

// runBinary copies a static binary, and testdata beside it, into the VM, runs it
// and removes it again: what go test -exec needs.
func runBinary(addr, binary string, args []string) (int, error) {
	name := filepath.Base(binary)
	dir := fmt.Sprintf("/run/lab/%s.%d", name, os.Getpid())
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(pack(w, binary, name)) }()
	code, err := call(addr, request{Args: []string{"sh", "-c", "mkdir -p " + dir + "/pkg && tar -xf - -C " + dir}}, r, os.Stdout, os.Stderr)
	if err != nil || code != 0 {
		return code, fmt.Errorf("copy %s into the VM: status %d: %w", name, code, err)
	}
	var env []string
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "LAB_") || strings.HasPrefix(e, "GO") && !strings.HasPrefix(e, "GOROOT") {
			env = append(env, e)
		}
	}
	code, err = call(addr, request{Args: append([]string{dir + "/bin/" + name}, args...), Dir: dir + "/pkg", Env: env}, nil, os.Stdout, os.Stderr)
	_, _ = call(addr, request{Args: []string{"rm", "-rf", dir}}, nil, io.Discard, io.Discard)
	return code, err
}

func pack(w io.Writer, binary, name string) error {
	tw := tar.NewWriter(w)
	if err := add(tw, binary, "bin/"+name); err != nil {
		return err
	}
	if _, err := os.Stat("testdata"); err == nil {
		if err := add(tw, "testdata", "pkg/testdata"); err != nil {
			return err
		}
	}
	return tw.Close()
}

// add writes a file, or a folder's files, to an archive.
func add(tw *tar.Writer, path, name string) error {
	return filepath.Walk(path, func(p string, fi os.FileInfo, err error) error {
		if err != nil || !fi.Mode().IsRegular() && !fi.IsDir() {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		h, err := tar.FileInfoHeader(fi, "")
		if err != nil {
			return err
		}
		h.Name = filepath.Join(name, rel)
		if err := tw.WriteHeader(h); err != nil || fi.IsDir() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		_, err = io.Copy(tw, f)
		return err
	})
}
