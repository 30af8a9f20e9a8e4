//go:build demo

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A line of the docs that a reader would type.
type line struct {
	file, text string
	inline     bool
}

// programs begin such lines, in blocks and in the running text.
var programs = []string{
	"triplicate", "triplicated", "make", "temporal", "tctl", "rclone", "mount", "install", "docker", "systemctl", "bin/demo", "lab/vm",
	"CGO_ENABLED=0", "go", "zfs", "zpool", "curl", "git", "apt-get", "source", "LAB_HOST=1", "DEMO_ZFS=fake", "mkdir", "ssh", "pveum", "proxmox-backup-manager", "aws", "deploy/compose/password", "systemd-run", "journalctl", "sed", "rm", "cp",
}

// elsewhere says which other test runs the lines that begin so.
var elsewhere = map[string]string{
	"temporal ":            "interop: these very lines",
	"tctl ":                "interop: these very lines",
	"docker compose":       "compose",
	"rclone ":              "e2e: TestWholeNight, from the lab's bucket",
	"mount -t zfs":         "e2e: content()",
	"CGO_ENABLED=0 go tes": ".ci/test: the contract",
	"lab/vm ":              ".ci/test and e2e",
	"deploy/compose/":      "compose",
	"pveum ":               "none: Proxmox's own; TestSetupLines holds it against the vendor's schema",
	"proxmox-backup-manag": "none: Proxmox's own; TestSetupLines holds it against the vendor's schema",
	"aws s3api ":           "interop: these very lines, on the double",
	"aws iam ":             "none: it wants Amazon; the policies are tested by internal/offsite",
	"systemctl ":           "e2e: TestServiceOfSystemd",
	"systemd-run ":         "e2e: TestServiceOfSystemd",
	"journalctl ":          "e2e: TestServiceOfSystemd",
	"ssh ":                 "none: it wants another host; compose and the lab reach the server over a forwarded port",
	"triplicated":          "TestDemo starts it",
	"make ":                "its target is checked to be there",
}

// wants are the exit statuses of lines for which 0 is not the answer here.
var wants = []struct {
	prefix string
	codes  []int
}{
	{"triplicate status", []int{0, 3, 4}},
	{"triplicate check", []int{0, 3}}, // what a demo lacks is a warning
	{"triplicate plan", []int{0, 3, 6}},
	{"triplicate run", []int{0, 3, 5}},
	{"triplicate ack", []int{0, 3}},
}

// docs runs every command line of the docs, but those that another test runs.
func docs(t *testing.T, m *fake, night string) {
	lines := commandLines(t)
	if len(lines) < 40 {
		t.Fatalf("only %d command lines found", len(lines))
	}
	targets, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, l := range lines {
		if target, ok := strings.CutPrefix(l.text, "make "); ok {
			for _, word := range strings.Fields(target) {
				if !strings.Contains(word, "=") && !bytes.Contains(targets, []byte("\n"+word+":")) {
					t.Errorf("%s: %s: the Makefile has no %s", l.file, l.text, word)
				}
			}
			continue
		}
		if by(l.text) != "" {
			continue
		}
		ran++
		t.Run(l.text, func(t *testing.T) { execute(t, m, l, night) })
	}
	t.Logf("%d command lines, %d of them run here", len(lines), ran)
}

// by is which other test runs a line; empty if none does.
func by(text string) string {
	for prefix, where := range elsewhere {
		if strings.HasPrefix(text, prefix) && !strings.HasPrefix(text, "triplicated --") {
			return where
		}
	}
	return ""
}

// execute runs a line as it stands, but in folders of its own, at today's dates and
// with this world's names.
func execute(t *testing.T, m *fake, l line, night string) {
	text := l.text
	// A file's lines share a folder: what the second of them overwrites, it refuses.
	tmp := m.at("docs/" + filepath.Base(l.file))
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	etc := filepath.Join(tmp, "etc")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`( |^)/tmp(/| |$)`).ReplaceAllString(text, "${1}"+tmp+"${2}")
	for _, r := range [][2]string{
		{"/usr/local/bin/", t.TempDir() + "/"},
		{"/etc/triplicate", etc},
		{"/etc/bash_completion.d", t.TempDir()},
		{"2026-11-22", time.Now().Format(time.DateOnly)},
		{"WORKFLOW-ID", night},
		{"smith-nightly-2026-11-25T00:30:00Z", night},
		{"/etc/systemd/system", t.TempDir()},
		{"install bin/", "install ../bin/fake/"},
		{" deploy/", " ../deploy/"},
		{" bin/triplicate ", " ../bin/fake/triplicate "},
		{" triplicate.example.yaml", " ../triplicate.example.yaml"},
	} {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	if l.inline {
		text += " --help" // a mention: the verb and its flags are there
	}
	cmd := m.command(t.Context(), "bash", "-ec", text)
	bin, err := filepath.Abs("../bin/fake")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	code := 0
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it is not wrapped
		code, err = exit.ExitCode(), nil
	}
	want := []int{0}
	for _, w := range wants {
		if strings.HasPrefix(l.text, w.prefix) {
			want = w.codes
		}
	}
	if err != nil || !slices.Contains(want, code) {
		t.Errorf("%s: %s\nexit status %d, want one of %v %v\n%s", l.file, text, code, want, err, out)
	}
}

// commandLines are the lines of all docs that a reader would type: those of
// indented and fenced blocks, and code in the running text that is a whole command.
func commandLines(t *testing.T) (lines []line) {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	inline := regexp.MustCompile("`([^`]+)`")
	for _, file := range append(files, "../README.md", "../CONTRIBUTING.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fenced, drawing, goes := false, false, ""
		for _, l := range strings.Split(string(data), "\n") {
			if strings.HasPrefix(l, "```") {
				fenced, drawing = !fenced, slices.Contains([]string{"```text", "```yaml", "```ini"}, l)
				continue
			}
			if drawing {
				continue
			}
			if rest, ok := strings.CutPrefix(l, "    "); ok || fenced {
				if !fenced {
					l = rest
				}
				if before, ok := strings.CutSuffix(goes, "\\"); ok {
					l = before + strings.TrimSpace(l)
				}
				if goes = l; strings.HasSuffix(l, "\\") {
					continue
				}
				text, ok := command(l)
				if strings.HasPrefix(l, "#") {
					continue // a comment between commands
				}
				if !ok {
					t.Errorf("%s: %q begins with no program that the test knows: what is no command line wants a fence that says so, ```yaml or ```text", file, l)
				}
				lines = append(lines, line{file, text, false})
				continue
			}
			for _, code := range inline.FindAllStringSubmatch(l, -1) {
				if text, ok := command(code[1]); ok && ours.MatchString(text) && !placeholder.MatchString(text) {
					lines = append(lines, line{file, text, true})
				}
			}
		}
	}
	return lines
}

// ours are the commands whose mention in the running text is tried.
var ours = regexp.MustCompile(`^(triplicate|triplicated|make) `)

// placeholder is a word in capitals, which stands for one of the reader's.
var placeholder = regexp.MustCompile(`(^|[ /:])[A-Z][A-Z-]{2,}|\.\.\.|\|`)

// command is a line without its comment and prompt, if it is one.
func command(l string) (text string, ok bool) {
	text, _, _ = strings.Cut(l, "  #")
	text = strings.TrimSpace(strings.TrimPrefix(text, "$ "))
	if word, _, _ := strings.Cut(text, " "); slices.Contains(programs, word) {
		return text, true
	}
	return "", false
}
