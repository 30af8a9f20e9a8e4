//go:build demo

package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDemo tells the whole story on the fake pools with the real daemon, and then
// uses what is there: for the Web UI, and for the command lines of the docs.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	chosen, err := choose(t.Context(), builder{root: "..", out: t.Output()}, "fake", &out)
	if err != nil {
		t.Fatal(err)
	}
	m := chosen.(*fake)
	t.Cleanup(m.close)
	if err := (&story{machine: m, out: &out}).tell(t.Context()); err != nil {
		t.Fatalf("%v\n%s\n%v", err, out.String(), m.problem())
	}
	if !strings.HasPrefix(out.String(), "simulated: the pools") {
		t.Error("the first line does not say what is simulated")
	}
	for _, want := range []string{
		"nvme/personal/photos    150 files",
		"proxmox    ok: 6 of 6 guests backed up",
		"replicate  ok: 3 datasets",
		"first upload: 81 objects",
		"offsite    ok: 326 objects",
		"offsite    ok: 17 objects",
		"no copy of 15 datasets is missing or too old",
		"it is being thawed",
		"three copies, and one file back from each",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo did not say %q", want)
		}
	}
	if n := strings.Count(out.String(), "equal, byte by byte"); n != 3 {
		t.Errorf("%d files came back equal, want 3", n)
	}
	if t.Failed() {
		t.Log(out.String())
	}
	told := regexp.MustCompile(`started (smith-nightly-run-\S+)`).FindAllStringSubmatch(out.String(), -1)
	if len(told) != 2 {
		t.Fatalf("%d nights in the story\n%s", len(told), out.String())
	}
	t.Run("every command line of the docs", func(t *testing.T) { docs(t, m, told[1][1]) })
	t.Run("nights in the Web UI", func(t *testing.T) { nights(t, m, told[1][1]) })
}

// started starts a night and gives its workflow ID.
func started(t *testing.T, m *fake) string {
	t.Helper()
	var out bytes.Buffer
	if code, err := m.triplicate(t.Context(), &out, "run", "nightly"); err != nil || code != 0 {
		t.Fatalf("run nightly: %d %v\n%s", code, err, out.String())
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(out.String(), "started "), "\n")
	return id
}

// frozen is a night that stands in its second stage, because Proxmox does not
// answer, until the test ends.
func frozen(t *testing.T, m *fake) string {
	t.Helper()
	sim := m.running["sim"].cmd.Process
	if err := sim.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Signal(syscall.SIGCONT) })
	return started(t, m)
}

// failed is a night that failed, because Proxmox's token was wrong.
func failed(t *testing.T, m *fake) string {
	t.Helper()
	token := m.at("sim/pve.token")
	right, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		if err := os.WriteFile(token, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("triplicate@pve!backup=wrong\n"))
	defer write(right)
	id := started(t, m)
	var out bytes.Buffer
	if code, err := m.triplicate(context.WithoutCancel(t.Context()), &out, "follow", id); err != nil || code != 1 {
		t.Fatalf("a night with a wrong token ended with %d, %v\n%s", code, err, out.String())
	}
	return id
}
