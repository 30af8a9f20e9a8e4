package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"triplicate/internal/temporald"
)

// start runs the daemon on a config until it ends or a while has passed.
func start(t *testing.T, lines string) (stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "triplicate.yaml")
	text := "host: smith\ntimezone: UTC\nsnapshots:\n  - { dataset: nvme/a, frequency: hourly, keep: { hourly: 2 } }\n" + lines
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errOut bytes.Buffer
	err = run(ctx, []string{"-config", path}, &out, &errOut)
	return errOut.String(), err
}

// TestWhyItCannotStart: each error says what is wrong and what to do.
func TestWhyItCannotStart(t *testing.T) {
	taken, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	used := t.TempDir()
	lock, err := temporald.LockDir(used)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	state := func() string { return "state_directory: " + t.TempDir() + "\n" }
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"taken port":      {state() + fmt.Sprintf("temporal: { port: %d }\n", port), []string{fmt.Sprint(port), "temporal.port"}},
		"second instance": {"state_directory: " + used + "\n", []string{used, fmt.Sprint(os.Getpid()), "stop it first"}},
		"second instance, external": {
			"state_directory: " + used + "\ntemporal: { address: \"127.0.0.1:1\" }\n", []string{used, "stop it first"},
		},
		"unreachable server": {state() + "temporal: { address: \"127.0.0.1:1\" }\n", []string{"127.0.0.1:1", "temporal.address"}},
		"wrong config":       {"nonsense: 1\n", []string{"triplicate.yaml:5:1", "nonsense"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := start(t, tc.config)
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}
