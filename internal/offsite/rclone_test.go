//go:build interop

package offsite_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"triplicate/internal/backup"
)

// rclone runs rclone (Debian: apt-get install rclone) on the double.
func rclone(t *testing.T, endpoint string, args ...string) string {
	t.Helper()
	// Else rclone takes two names that look alike for one, and copies one of them.
	always := []string{"--config", "/dev/null", "-v", "--no-unicode-normalization"}
	cmd := exec.CommandContext(t.Context(), "rclone", append(always, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, "RCLONE_CONFIG_COPY_TYPE=s3", "RCLONE_CONFIG_COPY_PROVIDER=Other", "RCLONE_CONFIG_COPY_LIST_VERSION=2",
		"RCLONE_CONFIG_COPY_ENDPOINT="+endpoint, "RCLONE_CONFIG_COPY_REGION=us-east-1",
		"RCLONE_CONFIG_COPY_ACCESS_KEY_ID=reader", "RCLONE_CONFIG_COPY_SECRET_ACCESS_KEY="+secret)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rclone %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Without us, rclone brings everything back that it has a name for, and finds
// nothing to do.
func TestRcloneReadsTheCopy(t *testing.T) {
	s, _, _, endpoint := newS3At(t)
	oddTree(s)
	s.commit(s.snapshot())
	s.write("plain", "another content")
	s.remove("dir.txt")
	s.commit(s.snapshot())
	where := "copy:copy/" + strings.TrimSuffix(backup.DataPrefix(prefix, dataset), "/")

	back := newScene(t, s.bucket)
	rclone(t, endpoint, "copy", "--links", "--metadata", where, back.dir)
	// What rclone has no name for, sockets and empty folders, and what is gone:
	// without a manifest there are no tombstones.
	for _, name := range []string{"a.rclonelink", "\u201b", "\u201bFF", "\u201b.d", strings.Repeat("\xfe", 255), "empty", "pipe"} {
		s.remove(name)
	}
	back.remove("dir.txt")
	if diff := sameTrees(t, s, back); diff != "" {
		t.Error(diff)
	}
	s.write("dir.txt", "content of dir.txt")
	out := rclone(t, endpoint, "sync", "--dry-run", "--links", s.dir, where)
	if strings.Contains(out, "Skipped") {
		t.Errorf("rclone would change the copy:\n%s", out)
	}
}

// sameTrees compares two folders, but for the times of directories, which rclone
// does not keep.
func sameTrees(t *testing.T, a, b *scene) string {
	t.Helper()
	var wrong []string
	have := b.tree()
	for path, want := range a.tree() {
		got, there := have[path]
		delete(have, path)
		if want.Type == backup.Dir && got.Type == backup.Dir {
			continue
		}
		if !there || !backup.SameEntry(want, got) && want.Type != backup.Symlink || want.Target != got.Target {
			wrong = append(wrong, "want "+describe(t, want)+", got "+describe(t, got))
		}
	}
	for path := range have {
		wrong = append(wrong, "only in the second: "+path)
	}
	return strings.Join(wrong, "\n")
}

func describe(t *testing.T, e backup.Entry) string {
	t.Helper()
	line, err := e.AppendJSON(nil)
	check(t, err)
	return string(line)
}
