package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/serviceerror"
)

// TestErrorsSayWhatToDoNext, in the text and in JSON.
func TestErrorsSayWhatToDoNext(t *testing.T) {
	busy := &answers{start: serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "", "")}
	for name, tc := range map[string]struct {
		config string
		args   []string
		code   int
		next   string
	}{
		"no config":            {"", []string{"--config", "/nowhere.yaml", "check"}, exitConfig, "triplicate init --output /nowhere.yaml"},
		"a misspelt verb":      {"", []string{"sttaus"}, exitUsage, "triplicate --help"},
		"a misspelt flag":      {"", []string{"plan", "--al"}, exitUsage, "triplicate plan --help"},
		"half a verb":          {"", []string{"run"}, exitUsage, "triplicate run --help"},
		"no such dataset":      {"", []string{"snapshots", "nvme/x"}, exitFailed, "zfs list"},
		"no row":               {"", []string{"ack", "retention", "nvme/x"}, exitFailed, "name the dataset of a row: nvme, nvme/personal"},
		"no offsite target":    {"", []string{"ack", "offsite"}, exitUsage, "add one under offsite"},
		"no server":            {"", []string{"run", "nightly"}, exitUnreachable, "triplicate check"},
		"running already":      {frontend(t, busy), []string{"run", "replicate", "personal"}, exitBusy, "triplicate follow smith-replicate-personal"},
		"no such replica":      {frontend(t, nil), []string{"run", "replicate", "x"}, exitUsage, "triplicate run --help"},
		"no such section":      {frontend(t, nil), []string{"run", "proxmox"}, exitUsage, "add it to"},
		"no such file inside":  {"", []string{"restore", "nvme/personal/x", "--from", "snapshot", "--to", "/tmp"}, exitFailed, "check how the path is spelt"},
		"no such place":        {"", []string{"restore", "nvme/personal/letter", "--from", "moon", "--to", "/tmp"}, exitUsage, "--from is snapshot, replica"},
		"a time that is none":  {"", []string{"restore", "nvme/personal/letter", "--from", "snapshot", "--to", "/tmp", "--at", "noon"}, exitUsage, "triplicate snapshots"},
		"no folder to restore": {"", []string{"restore", "nvme/personal/letter", "--from", "snapshot", "--to", "/nowhere/at/all"}, exitFailed, "triplicate check"},
		"nothing to replay":    {frontend(t, &answers{}), []string{"replay", "smith-nightly-1"}, exitFailed, "temporal workflow list"},
	} {
		t.Run(name, func(t *testing.T) {
			var more []string
			if tc.config != "" {
				more = []string{tc.config}
			}
			s := backedUp(t, more...)
			got := s.must(tc.code, tc.args...)
			_, next, _ := strings.Cut(got.err, "\nnext: ")
			if !strings.Contains(next, tc.next) {
				t.Errorf("stderr:\n%swant %q as what is next", got.err, tc.next)
			}
			got = s.must(tc.code, append(tc.args, "--json")...)
			var e struct{ Next string }
			if err := json.Unmarshal([]byte(got.err), &e); err != nil || !strings.Contains(e.Next, tc.next) {
				t.Errorf("with --json: %v in %s", err, got.err)
			}
		})
	}
}

// TestNoErrorWithoutNext: an error is made by fail, which asks what to do next; an exit
// without an error needs no word.
func TestNoErrorWithoutNext(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "exit" && len(n.Elts) > 1 && name != "exits.go" {
					t.Errorf("%s: an error that does not say what to do next", fset.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "fail" {
					if lit, ok := n.Args[2].(*ast.BasicLit); ok && lit.Value == `""` {
						t.Errorf("%s: it says nothing of what to do next", fset.Position(n.Pos()))
					}
				}
			}
			return true
		})
	}
}
