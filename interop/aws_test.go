//go:build interop

package interop

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"triplicate/deploy"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

// TestTheBucketOfTheDocs makes the bucket as docs/setup.md says, with Amazon's own
// command on the double; then check, with the key of the shipped policy, has nothing
// to say.
func TestTheBucketOfTheDocs(t *testing.T) {
	const admin, daemon, secret = "AKIAADMINISTRATOR", "AKIADAEMON", "a/secret"
	document, err := deploy.S3.ReadFile("s3/upload.json")
	if err != nil {
		t.Fatal(err)
	}
	key, err := s3test.WithPolicies(daemon, secret, document)
	if err != nil {
		t.Fatal(err)
	}
	server, err := s3test.New(s3test.Options{Region: "eu-central-1", Keys: []s3test.Key{s3test.Admin(admin, secret), key}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	defer web.Close()
	doc, err := os.ReadFile(filepath.Join(root, "docs", "setup.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for l := range strings.Lines(string(doc)) {
		line, ours := strings.CutPrefix(strings.TrimSpace(l), "aws s3api ")
		if !ours {
			continue
		}
		lines++
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "./aws --endpoint-url "+web.URL+" s3api "+strings.ReplaceAll(line, "file:///etc/triplicate/s3/", "file://deploy/s3/"))
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+admin, "AWS_SECRET_ACCESS_KEY="+secret)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws s3api %s: %v\n%s", line, err, out)
		}
	}
	if lines != 5 {
		t.Errorf("docs/setup.md has %d lines of aws s3api, want 5", lines)
	}
	b, err := s3.Open(s3.Config{
		Bucket: "smith-offsite", Region: "eu-central-1", Endpoint: web.URL,
		Credentials: func() (string, string, string, error) { return daemon, secret, "", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	found, err := b.Check(t.Context(), "smith/hdd")
	if err != nil || len(found) != 4 {
		t.Fatalf("check: %v %+v", err, found)
	}
	for _, f := range found {
		if f.Problem != "" {
			t.Errorf("%s %s; %s", f.What, f.Problem, f.Fix)
		}
	}
}
