//go:build lab

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rclone runs Debian's rclone here, on the bucket in the VM.
func rclone(t *testing.T, port string, args ...string) (string, error) {
	t.Helper()
	keys := regexp.MustCompile(`= (\S+)`).FindAllStringSubmatch(sh(t, "cat /run/sim/aws.credentials"), 2)
	cmd := exec.CommandContext(t.Context(), "rclone", append([]string{"--config", "/dev/null", "-v", "--no-unicode-normalization"}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "RCLONE_CONFIG_AWS_TYPE=s3", "RCLONE_CONFIG_AWS_PROVIDER=Other",
		"RCLONE_CONFIG_AWS_LIST_VERSION=2", "RCLONE_CONFIG_AWS_REGION=eu-central-1", "RCLONE_CONFIG_AWS_ENDPOINT=http://127.0.0.1:" + port,
		"RCLONE_CONFIG_AWS_ACCESS_KEY_ID=" + keys[0][1], "RCLONE_CONFIG_AWS_SECRET_ACCESS_KEY=" + keys[1][1],
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rcloneRestores: without Triplicate, rclone thaws a dataset, brings it back as the
// replica's newest snapshot is, and finds nothing to do.
func rcloneRestores(t *testing.T) {
	if _, err := exec.LookPath("rclone"); err != nil {
		t.Fatal("no rclone: apt-get install rclone")
	}
	port := "9000"
	if os.Getenv("LAB_HOST") != "1" {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		if out, err := vm(t, "forward", port, "9000"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, dataset := range []string{"hdd/backups-data/personal/photos", "hdd/backups-data/data"} {
		where := "aws:smith-offsite/smith/hdd/data/" + dataset + "/@"
		if out, err := rclone(t, port, "backend", "restore", "-o", "priority=Expedited", "-o", "lifetime=3", where); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		back := t.TempDir()
		var out string
		var err error
		for range 60 { // a thaw takes a second or two here
			if out, err = rclone(t, port, "copy", "--links", "--metadata", "--retries", "1", where, back); err == nil {
				break
			}
			select {
			case <-t.Context().Done():
			case <-time.After(time.Second):
			}
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got, want := sums(t, back), content(t, dataset+"@"+newest(t, dataset))
		if got != want || len(lines(want)) == 0 {
			t.Errorf("rclone brought back\n%s\nthe replica has\n%s", got, want)
		}
		out, err = rclone(t, port, "sync", "--dry-run", "--links", back, where)
		if err != nil || strings.Contains(out, "Skipped") || !strings.Contains(out, "There was nothing to transfer") {
			t.Errorf("rclone would change the copy of %s: %v\n%s", dataset, err, out)
		}
		t.Logf("rclone brought %d files of %s back, and sync --dry-run had nothing to do", len(lines(want)), dataset)
	}
}

// sums is what content says of a snapshot, of a folder here.
func sums(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("cd '%s'; find . -type f | LC_ALL=C sort | xargs sha256sum", dir))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
