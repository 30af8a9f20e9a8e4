package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"triplicate"
	"triplicate/internal/zfs/zfstest"
)

// TestInitRoundTrip: what init writes loads, fits the machine, and covers it all.
func TestInitRoundTrip(t *testing.T) {
	s := newSmith(t)
	s.host.MkDataset("nvme/vm")
	s.host.MkVolume("nvme/vm/vm-101-disk-0")
	path := filepath.Join(t.TempDir(), "new.yaml")
	got := s.must(exitOK, "init", "--output", path)
	if !strings.Contains(got.out, "triplicate check --config "+path) {
		t.Errorf("it does not say what to do next: %s", got.out)
	}
	s.config = path
	// The one thing that is not there in a test is a daemon.
	for _, f := range s.findings() {
		if f.Outcome != "ok" && f.ID != "temporal" {
			t.Errorf("%s: %s", f.ID, f.Text)
		}
	}
	plan := s.must(exitOK, "plan")
	for _, d := range []string{"nvme/personal", "hdd/data"} {
		if !strings.Contains(plan.out, d) {
			t.Errorf("%s is not in the plan:\n%s", d, plan.out)
		}
	}
	before, _ := os.ReadFile(path)
	again := s.must(exitFailed, "init", "--output", path)
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) || !strings.Contains(again.err, "exists and is left as it is") {
		t.Errorf("over a file that exists: %s", again.err)
	}
	if got := s.must(exitFailed, "init", "--output", "/nowhere/at/all"); !strings.Contains(got.err, "mkdir -p") {
		t.Errorf("into no folder: %s", got.err)
	}
}

// TestInitWithoutPools says why, and what to do.
func TestInitWithoutPools(t *testing.T) {
	s := newSmith(t)
	s.zfs = zfstest.New(t)
	if got := s.must(exitFailed, "init"); !strings.Contains(got.err, "no pool is imported\nnext: zpool import") {
		t.Errorf("stderr: %s", got.err)
	}
	s.zfs = blind{s.host}
	if got := s.must(exitUnreachable, "init"); !strings.Contains(got.err, "modprobe zfs") {
		t.Errorf("stderr: %s", got.err)
	}
}

// TestSchemaIsPrinted as it is committed.
func TestSchemaIsPrinted(t *testing.T) {
	s := newSmith(t)
	want, err := os.ReadFile("../triplicate.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"schema"}, {"schema", "--json"}} {
		if got := s.must(exitOK, args...); got.out != string(want) || !bytes.Equal(triplicate.Schema, want) {
			t.Errorf("%v prints something else", args)
		}
	}
}
