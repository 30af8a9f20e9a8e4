package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/s3/s3test"
)

// findings runs check and gives what it found, whatever it ends with.
func (s *smith) findings() []activities.Finding {
	s.t.Helper()
	got := s.triplicate("check", "--json")
	var all []activities.Finding
	if err := json.Unmarshal([]byte(got.out), &all); err != nil {
		s.t.Fatalf("%v in %s%s", err, got.out, got.err)
	}
	return all
}

// expect demands a finding with an outcome and a text.
func (s *smith) expect(id activities.FindingID, outcome backup.Outcome, text string) {
	s.t.Helper()
	var said []string
	for _, f := range s.findings() {
		if f.ID == id {
			said = append(said, string(f.Outcome)+" "+f.Text+" -> "+f.Todo)
			if f.Outcome == outcome && strings.Contains(f.Text+f.Todo, text) {
				return
			}
		}
	}
	s.t.Errorf("no %s that is %s with %q in:\n%s", id, outcome, text, strings.Join(said, "\n"))
}

// away is smith with a bucket, as it should be.
func away(t *testing.T) (*smith, *s3test.Server) {
	t.Helper()
	server, err := s3test.New(s3test.Options{Keys: []s3test.Key{s3test.Admin("id", "secret")}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	key := filepath.Join(t.TempDir(), "aws")
	if err := os.WriteFile(key, []byte("[default]\naws_access_key_id = id\naws_secret_access_key = secret\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	for what, doc := range map[string]string{
		"":                  "",
		"versioning":        `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`,
		"publicAccessBlock": `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
		"encryption":        `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`,
	} {
		_ = server.CreateBucket("smith-offsite") // the first time round
		if what != "" {
			if err := server.Configure("smith-offsite", what, doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := backedUp(t, frontend(t, nil), "offsite: [{ name: aws, frequency: daily at 03:00, pool: hdd, bucket: smith-offsite, region: us-east-1, prefix: smith, endpoint: \""+
		web.URL+"\", credentials: { file: "+key+" } }]", "state_directory: "+t.TempDir())
	return s, server
}

// TestCheckOfABucket: each part of a bucket's configuration has a finding of its own.
func TestCheckOfABucket(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*s3test.Server) error
		id      activities.FindingID
		outcome backup.Outcome
		text    string
	}{
		"it is there":      {nil, activities.FindBucket, backup.OK, "lists the manifests of 0 datasets"},
		"versions":         {nil, activities.FindVersioning, backup.OK, "versioning of bucket smith-offsite is as it should be"},
		"closed":           {nil, activities.FindPublic, backup.OK, "as it should be"},
		"encrypted":        {nil, activities.FindEncryption, backup.OK, "as it should be"},
		"no rule archives": {nil, activities.FindLifecycle, backup.Warning, "Add a rule for each of data/"},
		"the secret":       {nil, activities.FindSecret, backup.OK, "closed to others"},
		"half open": {func(s *s3test.Server) error {
			return s.Configure("smith-offsite", "publicAccessBlock", `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>`)
		}, activities.FindPublic, backup.Warning, "lacks IgnorePublicAcls"},
		"a key that may not look": {func(s *s3test.Server) error {
			s.SetKeys(s3test.Uploader("id", "secret", "", ""))
			return nil
		}, activities.FindVersioning, backup.Warning, "let the key look"},
		"a key that is gone": {func(s *s3test.Server) error { s.SetKeys(); return nil }, activities.FindBucket, backup.Failed, "replace what the file"},
		"a clock that is off": {func(s *s3test.Server) error {
			s.Script(s3test.Fault{Skew: 20 * time.Minute})
			return nil
		}, activities.FindClock, backup.Warning, "is off by "},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := away(t)
			if tc.change != nil {
				if err := tc.change(server); err != nil {
					t.Fatal(err)
				}
			}
			s.expect(tc.id, tc.outcome, tc.text)
			for _, op := range []string{"PutObject", "CreateMultipartUpload", "DeleteObject"} {
				if n := server.Requests(op); n > 0 {
					t.Errorf("check made %d %s requests", n, op)
				}
			}
		})
	}
}

// TestCheckOfTheEngine: a server without a daemon, and schedules that are not on.
func TestCheckOfTheEngine(t *testing.T) {
	a := &answers{}
	s := backedUp(t, frontend(t, a))
	s.expect(activities.FindTemporal, backup.OK, "answers")
	s.expect(activities.FindDaemon, backup.OK, "serves task queue smith")
	s.expect(activities.FindSchedule, backup.Warning, "smith-nightly, smith-hourly: not on the Temporal server")
	s.must(exitOK, "schedules", "sync")
	s.expect(activities.FindSchedule, backup.OK, "there, and on")
	a.daemon = "triplicated@smith#ffffffffffff"
	s.expect(activities.FindDaemon, backup.Warning, "has read another config than this one, or is of another version")
	a.pause("smith-nightly", "moving house")
	a.idle = true
	s.expect(activities.FindSchedule, backup.Warning, "smith-nightly is paused: moving house")
	s.expect(activities.FindDaemon, backup.Warning, "no daemon serves task queue smith")
}

// TestCheckOfTheConfigsMode: whoever can write the config commands the backups.
func TestCheckOfTheConfigsMode(t *testing.T) {
	s := backedUp(t)
	s.expect(activities.FindConfig, backup.OK, "is right")
	if err := os.Chmod(s.config, 0o622); err != nil {
		t.Fatal(err)
	}
	s.expect(activities.FindConfig, backup.Warning, "has mode 0622")
}

// TestCheckSaysWhatToDo: in the text, too, and where more is said.
func TestCheckSaysWhatToDo(t *testing.T) {
	s := backedUp(t, frontend(t, nil))
	got := s.must(exitWarning, "check")
	if !strings.Contains(got.out, "-> triplicate schedules sync (docs/checks.md#schedule)") {
		t.Errorf("it says\n%s", got.out)
	}
}

// TestCredentialsOfTheUnit: a server whose secret only the daemon's unit has is not
// asked, and that is one warning, for nothing is known to be wrong with it. What a
// restore lacks, it says as a command.
func TestCredentialsOfTheUnit(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	config := everything
	for _, name := range []string{"pve", "pbs", "aws"} {
		config = strings.Replace(config, "file: /nowhere/"+name, "credential: "+name, 1)
	}
	s := backedUp(t, config+frontend(t, nil))
	s.must(exitOK, "schedules", "sync")
	got := s.must(exitWarning, "check", "--json")
	said := map[activities.FindingID]int{}
	for _, f := range s.findings() {
		if f.Outcome == backup.OK {
			continue
		}
		said[f.ID]++
		if !strings.HasPrefix(f.Todo, "systemd-run --pipe --wait -p LoadCredential=") {
			t.Errorf("%s: %s -> %s", f.ID, f.Text, f.Todo)
		}
	}
	if diff := cmp.Diff(map[activities.FindingID]int{activities.FindSecret: 3, activities.FindPVE: 1, activities.FindPBS: 1, activities.FindBucket: 1}, said); diff != "" {
		t.Errorf("warnings (-want +got):\n%s\n%s", diff, got.out)
	}
	failed := s.must(exitFailed, "restore", "hdd/data/my letter", "--from", "aws", "--to", "/tmp", "--at", "20261125T003000Z")
	want := "\nnext: systemd-run --pipe --wait -p LoadCredential=aws:/etc/triplicate/aws triplicate restore 'hdd/data/my letter' --from aws --to /tmp --config " + s.config + " --at 20261125T003000Z"
	if !strings.Contains(failed.err, want) || !strings.Contains(failed.err, "read credential aws: ") {
		t.Errorf("stderr: %s", failed.err)
	}
}

// TestCheckOfSecrets: one that others can read, one that is not there, and one that
// only the daemon's unit has.
func TestCheckOfSecrets(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	open := filepath.Join(t.TempDir(), "pve")
	if err := os.WriteFile(open, []byte("root@pam!t=secret-of-smith"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(everything, "/nowhere/pve", open, 1)
	config = strings.Replace(config, "file: /nowhere/aws", "credential: aws", 1)
	s := backedUp(t, config+frontend(t, nil))
	s.expect(activities.FindSecret, backup.Failed, "proxmox.pve.token: read secret: "+open+" has mode 0644")
	s.expect(activities.FindSecret, backup.Failed, "proxmox.pbs.token: read secret: open /nowhere/pbs")
	s.expect(activities.FindSecret, backup.Warning, "credential aws, which only the daemon's unit can read")
	s.expect(activities.FindPBS, backup.Failed, "put the secret of proxmox.pbs where the config says")
	if got := s.triplicate("check", "--json"); strings.Contains(got.out+got.err, "secret-of-smith") {
		t.Error("a secret is printed")
	}
}
