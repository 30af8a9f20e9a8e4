//go:build demo

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// page is what browser/look.mjs looks at.
type page struct {
	Name    string   `json:"name"`
	URL     string   `json:"url"`
	Texts   []string `json:"texts"`
	Clicks  []string `json:"clicks,omitempty"`
	Picture string   `json:"picture,omitempty"`
	Height  int      `json:"height,omitempty"`
}

// nights opens the Web UI in Chromium and finds a finished, a running and a failed
// night by their stages' summaries, and both schedules. PICTURES is a folder for
// screenshots.
func nights(t *testing.T, m *fake, fine string) {
	bad := failed(t, m)
	look(t, m, []page{
		{Name: "night", URL: "workflows/" + fine, Height: 1340, Texts: []string{
			"Completed", "snapshot 3 datasets of nvme", "snapshot 3 datasets of hdd", "back up the guests", "replicate personal",
			"replicate data", "copy to aws", "verify, prune and collect garbage on Proxmox Backup Server", "prune nightly datasets",
		}},
		{Name: "failed", URL: "workflows/" + bad, Height: 1340, Texts: []string{
			"NightFailed", "credentials are not accepted", "failed: proxmox: ", "run `triplicate check` for what to do about it", "replicate personal", "copy to aws",
		}},
		{Name: "schedules", URL: "schedules", Height: 560, Texts: []string{"2 Schedules", "smith-hourly", "smith-nightly", "Europe/Vienna"}},
		{Name: "workflows", URL: "workflows", Texts: []string{"smith-offsite-aws", "smith-guest-101", "smith-replicate-personal", "smith-datastore"}},
	})
	running := frozen(t, m)
	look(t, m, []page{{
		Name: "running", URL: "workflows/" + running, Height: 1000, Clicks: []string{"Current Details"},
		Texts: []string{"Running", "night of", "ok, 6 snapshots", "proxmox", "running since", "replicate: waiting", "back up the guests"},
	}})
}

func look(t *testing.T, m *fake, pages []page) {
	t.Helper()
	setup := exec.CommandContext(t.Context(), "browser/setup")
	setup.Stderr = os.Stderr
	dir, err := setup.Output()
	if err != nil {
		t.Fatalf("browser/setup: %v", err)
	}
	for i := range pages {
		p := &pages[i]
		p.URL = m.web() + "/namespaces/default/" + p.URL
		if to := os.Getenv("PICTURES"); to != "" {
			if p.Picture, err = filepath.Abs(filepath.Join(to, p.Name+".png")); err != nil {
				t.Fatal(err)
			}
		}
	}
	in, err := json.Marshal(pages)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "look.mjs")
	cmd.Dir, cmd.Stdin = strings.TrimSpace(string(dir)), bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
