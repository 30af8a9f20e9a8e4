//go:build demo

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"triplicate/internal/pve/pvetest"
)

// calls are the API calls that Proxmox's commands make, with the names of their words.
var calls = map[string]struct {
	file, method, path string
	words              []string
}{
	"pveum role add":                             {"pve-api.json", "POST", "/access/roles", []string{"roleid"}},
	"pveum user token add":                       {"pve-api.json", "POST", "/access/users/{userid}/token/{tokenid}", []string{"userid", "tokenid"}},
	"pveum acl modify":                           {"pve-api.json", "PUT", "/access/acl", []string{"path"}},
	"proxmox-backup-manager user generate-token": {"pbs-api.json", "POST", "/access/users/{userid}/token/{token-name}", []string{"userid", "token-name"}},
	"proxmox-backup-manager datastore update":    {"pbs-api.json", "PUT", "/config/datastore/{name}", []string{"name"}},
	"proxmox-backup-manager acl update":          {"pbs-api.json", "PUT", "/access/acl", []string{"path", "role"}},
}

// TestSetupLines holds the docs' command lines for Proxmox, which cannot be run here,
// against the vendor's schema: each word and option is a parameter, none is missing, and
// a value that is one of a few is one of them.
func TestSetupLines(t *testing.T) {
	dir := pvetest.SchemaDir()
	if dir == "" {
		t.Skip("Proxmox's command lines are NOT checked: no shared/proxmox-api (set " + pvetest.SchemaEnv + ")")
	}
	checked := 0
	for _, l := range commandLines(t) {
		if word, _, _ := strings.Cut(l.text, " "); word != "pveum" && word != "proxmox-backup-manager" {
			continue
		}
		found := slices.Contains(unknown, l.text)
		for prefix, call := range calls {
			if rest, ok := strings.CutPrefix(l.text, prefix+" "); ok {
				found = true
				checked++
				params := parameters(t, filepath.Join(dir, call.file), call.method, call.path)
				t.Run(l.text, func(t *testing.T) { params.hold(t, split(t, rest), call.words) })
			}
		}
		if !found {
			t.Errorf("%s: nothing is known of %s", l.file, l.text)
		}
	}
	if checked < 9 {
		t.Errorf("only %d lines were checked", checked)
	}
}

// unknown are lines whose calls the vendor's data that is here leaves out, or which
// only list.
var unknown = []string{
	"pveum user add triplicate@pve", "proxmox-backup-manager user create triplicate@pbs",
	"proxmox-backup-manager prune-job list", "proxmox-backup-manager verify-job list",
}

// parameter is what is looked at of a parameter's schema.
type parameter struct {
	Optional any
	Enum     []string
}

type parameterSet map[string]parameter

func parameters(t *testing.T, file, method, path string) parameterSet {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]struct {
			Parameters struct{ Properties parameterSet }
		}
	}
	if err := json.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	found := api.Paths[path][method].Parameters.Properties
	if len(found) == 0 {
		t.Fatalf("%s: no %s %s", file, method, path)
	}
	return found
}

// split takes a command line apart as the shell does.
func split(t *testing.T, text string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-c", `printf '%s\n' `+text).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// hold says whether args are the parameters: words in their order, then options.
func (p parameterSet) hold(t *testing.T, args, words []string) {
	given := map[string]string{}
	for len(args) > 0 {
		name, option := strings.CutPrefix(args[0], "--")
		switch {
		case option && len(args) > 1:
			given[name] = args[1]
			args = args[2:]
		case !option && len(words) > 0:
			given[words[0]] = args[0]
			args, words = args[1:], words[1:]
		default:
			t.Fatalf("%q is too much", args[0])
		}
	}
	for name, value := range given {
		switch s, ok := p[name]; {
		case !ok:
			t.Errorf("there is no parameter %s", name)
		case len(s.Enum) > 0 && !slices.Contains(s.Enum, value):
			t.Errorf("%s is %q, not one of %q", name, value, s.Enum)
		}
	}
	for name, s := range p {
		if _, ok := given[name]; !ok && s.Optional == nil {
			t.Errorf("%s is missing", name)
		}
	}
}
