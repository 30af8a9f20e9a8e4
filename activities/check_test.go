package activities_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// ids are the finding IDs of the code, by the name of their constant.
func ids(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "check.go", nil, 0)
	must(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "FindingID" {
				found[spec.Names[0].Name] = strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			}
		}
		return true
	})
	if len(found) < 25 {
		t.Fatalf("only %d findings in check.go", len(found))
	}
	return found
}

// TestEveryFindingHasASection: docs/checks.md says of each finding what it means and
// what to do, and of nothing else. No finding is made but with an ID of the list.
func TestEveryFindingHasASection(t *testing.T) {
	page, err := os.ReadFile("../docs/checks.md")
	must(t, err)
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, m[1])
	}
	known := ids(t)
	if diff := cmp.Diff(slices.Sorted(maps.Values(known)), slices.Sorted(slices.Values(sections))); diff != "" {
		t.Errorf("findings of the code (-) and sections of docs/checks.md (+):\n%s", diff)
	}
	used := map[string]bool{}
	for _, pattern := range []string{"*.go", "../starter/*.go", "../internal/app/*.go"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			must(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) < 2 {
					return true
				}
				if id, ok := call.Args[0].(*ast.Ident); ok {
					used[id.Name] = true
				}
				if id, ok := call.Args[0].(*ast.SelectorExpr); ok {
					used[id.Sel.Name] = true
				}
				f, method := call.Fun.(*ast.SelectorExpr)
				_, literal := call.Args[0].(*ast.BasicLit)
				if on, ok := receiver(f); method && ok && on == "f" && literal {
					t.Errorf("%s: a finding whose ID is not in the list", name)
				}
				return true
			})
		}
	}
	// The parts of a bucket are found by a table of internal/app.
	for _, name := range []string{"FindVersioning", "FindPublic", "FindEncryption", "FindLifecycle"} {
		used[name] = true
	}
	for name := range known {
		if !used[name] {
			t.Errorf("%s is never found", name)
		}
	}
}

// receiver is the name of what a method is called on.
func receiver(f *ast.SelectorExpr) (string, bool) {
	if f == nil {
		return "", false
	}
	id, ok := f.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name, true
}

// found are the outcomes and texts of one finding's ID.
func found(all []activities.Finding, id activities.FindingID) (outcome backup.Outcome, texts string) {
	outcome = backup.NotConfigured
	for _, f := range all {
		if f.ID == id {
			outcome = backup.Worst(outcome, f.Outcome)
			texts += f.Text + " -> " + f.Todo + "\n"
		}
		if (f.Outcome == backup.OK) != (f.Todo == "") || f.Doc != "docs/checks.md#"+string(f.ID) {
			texts += "malformed: " + f.Text + "\n"
		}
	}
	return outcome, texts
}

// expect demands a finding with an outcome and a text.
func expect(t *testing.T, all []activities.Finding, id activities.FindingID, outcome backup.Outcome, text string) {
	t.Helper()
	got, texts := found(all, id)
	if got != outcome || !strings.Contains(texts, text) || strings.Contains(texts, "malformed") {
		t.Errorf("%s is %q, want %q with %q:\n%s", id, got, outcome, text, texts)
	}
}

func TestCheckOfTheMachine(t *testing.T) {
	vienna, _ := time.LoadLocation("Europe/Vienna")
	berlin, _ := time.LoadLocation("Europe/Berlin")
	tokyo, _ := time.LoadLocation("Asia/Tokyo")
	root := activities.Machine{Zone: vienna}
	allowed := func(what ...string) func(context.Context, string) ([]string, error) {
		return func(context.Context, string) ([]string, error) { return what, nil }
	}
	for name, tc := range map[string]struct {
		machine activities.Machine
		id      activities.FindingID
		outcome backup.Outcome
		text    string
	}{
		"root":                 {root, activities.FindPermission, backup.OK, "runs as root"},
		"nothing allowed":      {activities.Machine{User: 1000, Allowed: allowed()}, activities.FindPermission, backup.Warning, "may not bookmark, destroy, hold, mount, release, send, snapshot, userprop nvme/a"},
		"a little is lacking":  {activities.Machine{User: 1000, Allowed: allowed("bookmark", "destroy", "hold", "mount", "release", "send", "snapshot")}, activities.FindPermission, backup.Warning, "may not userprop nvme/a"},
		"nobody to ask":        {activities.Machine{User: 1000}, activities.FindPermission, backup.Warning, "cannot be asked"},
		"the same zone":        {root, activities.FindZone, backup.OK, "as on this machine"},
		"another name of it":   {activities.Machine{Zone: berlin}, activities.FindZone, backup.OK, "as on this machine"},
		"a server in UTC":      {activities.Machine{Zone: time.UTC}, activities.FindZone, backup.OK, "this machine's own are UTC"},
		"another zone":         {activities.Machine{Zone: tokyo}, activities.FindZone, backup.Warning, "now is 01:30 here and 09:30 there"},
		"a clock that is kept": {root, activities.FindClock, backup.OK, "2026-11-25 01:30 CET"},
		"a clock that is not":  {activities.Machine{Adrift: true}, activities.FindClock, backup.Warning, "nothing keeps"},
		"a secret": {activities.Machine{Secrets: []activities.SecretFile{{Key: "proxmox.pve.token", Place: "file /x"}}},
			activities.FindSecret, backup.OK, "proxmox.pve.token is file /x, closed to others"},
		"an open secret": {activities.Machine{Secrets: []activities.SecretFile{{Key: "proxmox.pve.token", Err: errors.New("mode 0644")}}},
			activities.FindSecret, backup.Failed, "mode 0644"},
		"somebody else's secret": {activities.Machine{Secrets: []activities.SecretFile{{Key: "k", Owner: 1000}}},
			activities.FindSecret, backup.Warning, "owner is uid 1000"},
		"a credential": {activities.Machine{Secrets: []activities.SecretFile{{Key: "k", Place: "credential c", Elsewhere: true}}},
			activities.FindSecret, backup.Warning, "only the daemon's unit"},
	} {
		t.Run(name, func(t *testing.T) {
			pools := stepsOf(hostOf(t, "nvme/a"), backup.Row{Dataset: "nvme/a", Frequency: hourly, Keep: backup.Keep{Hourly: 3}})
			pools.Policy.Zone = vienna
			checks := &activities.Checks{Copies: &activities.Copies{Pools: pools}, Machine: tc.machine}
			expect(t, checks.Run(t.Context()), tc.id, tc.outcome, tc.text)
		})
	}
}
