package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/backup"
	"triplicate/internal/config"
	"triplicate/workflows"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// everything is a config with Proxmox and an offsite target that nobody asks.
const everything = `proxmox:
  frequency: daily at 02:00
  keep: { daily: 3 }
  pve: { urls: [ "https://127.0.0.1:1" ], token: { file: /nowhere/pve }, storage: pbs }
  pbs: { url: "https://127.0.0.1:1", token: { file: /nowhere/pbs }, datastore: backups }
offsite:
  - { name: aws, frequency: daily at 03:00, pool: hdd, bucket: smith-offsite, region: us-east-1, credentials: { file: /nowhere/aws } }
`

// A golden case is what a verb says in one scene, with --json and without.
type goldenCase struct {
	verb  string // as in verbExits
	args  []string
	code  int
	scene func(t *testing.T) *smith // nil: backedUp, with a server that has its schedules
}

func goldenCases() map[string]goldenCase {
	night := func(t *testing.T) *smith {
		return backedUp(t, everything+frontend(t, &answers{ended: completed(t, aNight())}))
	}
	replica := func(t *testing.T) *smith {
		return backedUp(t, frontend(t, &answers{ended: completed(t, workflows.ReplicateSummary{
			Replica: "personal", Outcome: backup.Warning, Detail: "2 datasets up to date, 1 was not", Datasets: 2, Bytes: 5 << 20,
			Items: []activities.Item{{Name: "nvme/personal/photos", Outcome: backup.Warning, Detail: "its key is not loaded"}},
		})}))
	}
	synced := func(t *testing.T) *smith {
		a := &answers{}
		s := backedUp(t, frontend(t, a))
		s.must(exitOK, "schedules", "sync")
		a.pause("smith-hourly", "moving house")
		return s
	}
	return map[string]goldenCase{
		"check":           {verb: "check"},
		"check-paused":    {verb: "check", code: exitWarning, scene: synced},
		"plan":            {verb: "plan"},
		"status":          {verb: "status"},
		"status-missing":  {verb: "status", code: exitUnprotected, scene: func(t *testing.T) *smith { return newSmith(t) }},
		"snapshots":       {verb: "snapshots", args: []string{"nvme/personal"}},
		"plan-unseen":     {verb: "plan", code: exitWarning, scene: func(t *testing.T) *smith { return backedUp(t, everything+frontend(t, nil)) }},
		"plan-whole":      {verb: "plan", scene: whole},
		"plan-nothing":    {verb: "plan", scene: nothing},
		"status-nothing":  {verb: "status", scene: nothing},
		"schedules-none":  {verb: "schedules list", scene: nothing},
		"snapshots-none":  {verb: "snapshots", scene: nothing},
		"plan-held":       {verb: "plan", code: exitApproval, scene: waiting},
		"ack-retention":   {verb: "ack retention", args: []string{"nvme/personal"}, scene: aMass},
		"ack-offsite":     {verb: "ack offsite", code: exitApproval, scene: waiting},
		"run-nightly":     {verb: "run nightly", scene: night},
		"run-hourly":      {verb: "run hourly", scene: night},
		"run-snapshot":    {verb: "run snapshot", scene: night},
		"run-proxmox":     {verb: "run proxmox", scene: night},
		"run-offsite":     {verb: "run offsite", scene: night},
		"run-replicate":   {verb: "run replicate", args: []string{"personal"}, scene: night},
		"run-wait":        {verb: "run nightly", args: []string{"--wait"}, code: exitWarning, scene: night},
		"replica-wait":    {verb: "run replicate", args: []string{"personal", "--wait"}, code: exitWarning, scene: replica},
		"follow":          {verb: "follow", args: []string{"smith-nightly-2026-11-25T00:30:00Z"}, code: exitWarning, scene: night},
		"schedules-list":  {verb: "schedules list", scene: synced},
		"schedules-sync":  {verb: "schedules sync", scene: synced},
		"schedules-first": {verb: "schedules sync", scene: func(t *testing.T) *smith { return backedUp(t, frontend(t, nil)) }},
		"replay":          {verb: "replay", args: []string{"../workflows/testdata/replay/prune-ok.json"}},
		"restore":         {verb: "restore", args: []string{"nvme/personal/letter", "--from", "replica", "--to", "RESTORED"}},
		"init":            {verb: "init"},
		"init-output":     {verb: "init", args: []string{"--output", "RESTORED/new.yaml"}},
		"version":         {verb: "version"},
	}
}

// aNight is a report of a night in which one thing is not as it should be.
func aNight() workflows.Report {
	at := func(minutes int) time.Time { return time.Date(2026, 11, 25, 0, 30+minutes, 0, 0, time.UTC) }
	return workflows.Report{
		Host: "smith", Workflow: "Nightly", Run: "scheduled", Night: "2026-11-25", Started: at(0), Ended: at(160), Outcome: backup.Warning,
		Notes: []string{"offsite continues"},
		Stages: []workflows.StageReport{
			{Stage: "snapshot", Outcome: backup.OK, Started: at(0), Ended: at(1), Summary: "4 snapshots"},
			{Stage: "proxmox", Outcome: backup.OK, Started: at(30), Ended: at(50), Summary: "3 guests", Bytes: 3 << 30},
			{Stage: "replicate", Outcome: backup.Warning, Started: at(60), Ended: at(61), Summary: "1 replica", More: 2, MoreWorst: backup.Skipped,
				Items: []activities.Item{{Name: "nvme/personal", Outcome: backup.Warning, Detail: "half received"}}},
			{Stage: "offsite", Outcome: backup.OK, Started: at(90), Ended: at(160), Summary: "5 datasets"},
		},
	}
}

// nothing is smith with a config by which nothing is done, and no schedule.
func nothing(t *testing.T) *smith {
	s := newSmith(t, frontend(t, nil))
	s.write("host: smith\ntimezone: Europe/Vienna\nsnapshots: [{ dataset: nvme, frequency: disabled }]\n" + s.server)
	return s
}

// aMass is smith with a prune that waits for an ack.
func aMass(t *testing.T) *smith {
	s := newSmith(t)
	for hour := range 40 {
		s.snapshot(noon.Add(time.Duration(hour-40)*time.Hour), "nvme/personal")
	}
	return s
}

// waiting is smith with an offsite copy that was held back.
func waiting(t *testing.T) *smith {
	s, _ := away(t)
	cfg, err := config.LoadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := app.Copies(cfg, s.pools(cfg))
	if err != nil {
		t.Fatal(err)
	}
	res, err := copies.Offsite.CopyOffsite(t.Context(), activities.CopyOffsiteParams{Target: "aws", Dataset: "hdd/data", Run: "1", Stamp: backup.StampOf(s.now)})
	if err != nil || res.Outcome != backup.NeedsApproval {
		t.Fatalf("%+v, %v", res, err)
	}
	return s
}

// TestGolden: what every verb prints, as scripts and people know it.
func TestGolden(t *testing.T) {
	for name, tc := range goldenCases() {
		t.Run(name, func(t *testing.T) {
			for _, form := range []string{"json", "txt"} {
				s := tc.smith(t)
				dir := t.TempDir()
				args := strings.Fields(tc.verb)
				for _, a := range tc.args {
					args = append(args, strings.Replace(a, "RESTORED", dir, 1))
				}
				if form == "json" {
					args = append(args, "--json")
				}
				got := s.must(tc.code, args...)
				s.golden(name+"."+form, strings.ReplaceAll(got.out, dir, "/restored"))
				if got.err != "" {
					t.Errorf("stderr: %s", got.err)
				}
				if strings.Contains(got.out, ": null") || got.out == "null\n" {
					t.Errorf("null, where scripts look for a list:\n%s", got.out)
				}
			}
		})
	}
}

func (tc goldenCase) smith(t *testing.T) *smith {
	if tc.scene != nil {
		return tc.scene(t)
	}
	s := backedUp(t, frontend(t, nil))
	s.must(exitOK, "schedules", "sync")
	return s
}

// TestEveryVerbIsGolden: a verb without its golden files is found here.
func TestEveryVerbIsGolden(t *testing.T) {
	// One is a file that is compared as a whole, the others are cobra's scripts.
	have := map[string]bool{"schema": true, "completion bash": true, "completion zsh": true, "completion fish": true}
	for _, tc := range goldenCases() {
		have[tc.verb] = true
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if _, verb, ok := strings.Cut(cmd.CommandPath(), " "); ok && !cmd.HasSubCommands() && cmd.Name() != "help" && !have[verb] {
			t.Errorf("%s has no golden case", verb)
		}
	}
	walk((&cli{out: io.Discard, errOut: io.Discard}).command())
}

// What differs from run to run, or is the fake's own affair: identities, of which
// only the order and sameness count, sizes, and ports.
var (
	identity = regexp.MustCompile(`("(?:guid|createtxg)": "?)\d+`)
	space    = regexp.MustCompile(`\d+(\.\d)? ([KMGTPE]i)?B\b`)
	measure  = regexp.MustCompile(`("(?:bytes|size|usd)": )[0-9.e-]+`)
	port     = regexp.MustCompile(`temporal: \{ port: (\d+) \}`)
)

// golden compares what a verb printed with testdata/golden/<name>.
func (s *smith) golden(name, got string) {
	s.t.Helper()
	seen := map[string]string{}
	got = identity.ReplaceAllStringFunc(got, func(m string) string {
		if seen[m] == "" {
			seen[m] = fmt.Sprint(identity.FindStringSubmatch(m)[1], 1+len(seen))
		}
		return seen[m]
	})
	got = space.ReplaceAllString(got, "N GiB")
	if strings.HasPrefix(name, "ack-") || strings.HasPrefix(name, "plan-held") {
		got = measure.ReplaceAllString(got, "${1}1")
	}
	got = strings.ReplaceAll(got, s.config, "triplicate.yaml")
	if m := port.FindStringSubmatch(s.server); m != nil {
		got = strings.ReplaceAll(got, "127.0.0.1:"+m[1], "127.0.0.1:7233")
	}
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatalf("%v: go test ./starter -update writes it", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		s.t.Errorf("%s differs (-want +got); if it should, go test ./starter -update:\n%s", path, diff)
	}
}
