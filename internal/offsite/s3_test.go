package offsite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"triplicate/deploy"
	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

const (
	keyID  = "AKIAOFFSITE"
	secret = "secret/of/the/uploader"
)

// newS3 is a scene over the real client and the double, with the key that the shipped
// policy gives the daemon: it puts and lists, reads manifests, and deletes nothing. Then
// reader has a key that may do what a restore needs, too.
func newS3(t *testing.T) (s *scene, server *s3test.Server, reader *s3.Bucket) {
	t.Helper()
	s, server, reader, _ = newS3At(t)
	return s, server, reader
}

func newS3At(t *testing.T) (s *scene, server *s3test.Server, reader *s3.Bucket, endpoint string) {
	t.Helper()
	server, err := s3test.New(s3test.Options{
		PageSize: 3, MinPart: -1,
		Keys: []s3test.Key{shipped(t, keyID, "upload"), shipped(t, "reader", "upload", "restore")},
	})
	check(t, err)
	check(t, errors.Join(server.CreateBucket("copy"), server.EnableVersioning("copy")))
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	client := func(id string) *s3.Bucket {
		b, err := s3.Open(s3.Config{
			Bucket: "copy", Region: "us-east-1", Endpoint: web.URL,
			Credentials: func() (string, string, string, error) { return id, secret, "", nil },
			Wait:        func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		})
		check(t, err)
		t.Cleanup(b.Close)
		return b
	}
	return newScene(t, client(keyID)), server, client("reader"), web.URL
}

// shipped is a key with policies of deploy/s3, for this bucket and prefix instead of
// the example's.
func shipped(t *testing.T, id string, names ...string) s3test.Key {
	t.Helper()
	var documents [][]byte
	for _, name := range names {
		data, err := deploy.S3.ReadFile("s3/" + name + ".json")
		check(t, err)
		data = bytes.ReplaceAll(data, []byte("smith-offsite/smith/hdd"), []byte("copy/"+prefix))
		documents = append(documents, bytes.ReplaceAll(data, []byte("smith-offsite"), []byte("copy")))
	}
	key, err := s3test.WithPolicies(id, secret, documents...)
	check(t, err)
	return key
}

// versions says that every key below data/ has the wanted number of versions.
func versions(t *testing.T, b *s3.Bucket, want int) {
	t.Helper()
	count := map[string]int{}
	check(t, b.Versions(t.Context(), prefix+"/data/", func(o backup.Object) error { count[o.Key]++; return nil }))
	for key, n := range count {
		if n != want {
			t.Errorf("%s has %d versions, want %d", key, n, want)
		}
	}
}

func TestOverS3(t *testing.T) {
	s, server, reader := newS3(t)
	oddTree(s)
	job := s.snapshot()
	found := s.survey(job)
	before := server.Requests("")
	res, err := s.vault(s.bucket).Commit(t.Context(), job, found, nil)
	check(t, err)
	if n := server.Requests("PutObject") + server.Requests("CompleteMultipartUpload"); n != found.Change.Upload+1 {
		t.Errorf("%d objects put for %d and a manifest", n, found.Change.Upload)
	}
	if n := server.Requests("") - before; n != res.Requests {
		t.Errorf("%d requests, the result says %d", n, res.Requests)
	}
	before = server.Requests("")
	if again := s.survey(s.snapshot()); !again.Change.Empty() || server.Requests("")-before != 1 {
		t.Errorf("unchanged: %+v with %d requests", again.Change, server.Requests("")-before)
	}
	s.write("plain", "new content")
	s.remove("dir")
	s.commit(s.snapshot())
	uploader := s.bucket
	s.bucket = reader
	s.verify()
	s.bucket = uploader
	s.cache = ramDir(t)
	if found := s.survey(s.snapshot()); !found.Change.Empty() {
		t.Errorf("rebuilt from the bucket: %+v", found.Change)
	}
}

func TestFaultsOfS3(t *testing.T) {
	for name, script := range map[string][]s3test.Fault{
		"every third request is throttled":          {{Every: 3, Status: 503}},
		"answers to PUTs are lost":                  {{Op: "PutObject", Every: 3, DropReply: true}},
		"answers to completions are lost":           {{Op: "CompleteMultipartUpload", N: 1, DropReply: true}},
		"a completion fails within a 200":           {{Op: "CompleteMultipartUpload", N: 1, ErrorIn200: "InternalError"}},
		"connections break in the middle of a body": {{Op: "PutObject", Every: 2, Reset: 3}, {Op: "UploadPart", Every: 2, Reset: 3}},
		"the answer to the manifest is lost":        {{Op: "PutObject", N: 9, DropReply: true}},
	} {
		t.Run(name, func(t *testing.T) {
			s, server, reader := newS3(t)
			for i := range 8 {
				s.write(fmt.Sprintf("file %d", i), strings.Repeat("x", i))
			}
			s.write("large", strings.Repeat("large", 500))
			server.Script(script...)
			s.commit(s.snapshot())
			server.ClearScript()
			versions(t, reader, 1)
			s.bucket = reader
			s.verify()
		})
	}
}

func TestARefusedKeyEndsTheCommit(t *testing.T) {
	s, server, _ := newS3(t)
	s.write("a", "aaa")
	job := s.snapshot()
	found := s.survey(job)
	server.SetKeys(s3test.Key{ID: keyID, Secret: secret, Allow: []s3test.Grant{{Actions: []string{"ListBucket", "ListBucketVersions"}}}})
	_, err := s.vault(s.bucket).Commit(t.Context(), job, found, nil)
	if !is(err, backup.ErrForbidden) {
		t.Errorf("commit without the right to put: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
}

// What the shipped policies allow is what is needed, no more and no less: a backup and
// check by the one, a restore by both.
func TestTheShippedPolicies(t *testing.T) {
	s, server, reader := newS3(t)
	s.class = "GLACIER"
	s.write("film", strings.Repeat("large", 500))
	s.commit(s.snapshot())
	s.cache = ramDir(t)
	s.survey(s.snapshot())
	uploader, ok := s.bucket.(*s3.Bucket)
	if !ok {
		t.Fatalf("the bucket is a %T", s.bucket)
	}
	spec := backup.PutSpec{Key: prefix + "/data/begun"}
	id, err := uploader.StartUpload(t.Context(), spec)
	check(t, err)
	_, err = uploader.PutPart(t.Context(), spec.Key, id, 1, []byte("part"))
	check(t, err)
	_, err = uploader.Parts(t.Context(), spec.Key, id)
	check(t, err)
	check(t, uploader.AbortUpload(t.Context(), spec.Key, id))
	found, err := uploader.Check(t.Context(), prefix)
	check(t, err)
	for _, f := range found {
		if f.Unseen {
			t.Errorf("check with the daemon's key: %s %s", f.What, f.Problem)
		}
	}

	v := s.vault(uploader)
	e, _, err := v.Find(t.Context(), dataset, "film", "")
	check(t, err)
	if err := v.Fetch(t.Context(), dataset, e, new(strings.Builder)); !is(err, backup.ErrForbidden) {
		t.Errorf("the daemon's key reads data: %v", err)
	}
	if _, err := v.Thaw(t.Context(), dataset, e, backup.Expedited, 1); !is(err, backup.ErrForbidden) {
		t.Errorf("the daemon's key thaws data: %v", err)
	}
	if _, err := s.vault(reader).Thaw(t.Context(), dataset, e, backup.Expedited, 1); err != nil {
		t.Errorf("thaw with both policies: %v", err)
	}
	if err := s.vault(reader).Fetch(t.Context(), dataset, e, new(strings.Builder)); !is(err, backup.ErrArchived) {
		t.Errorf("fetch with both policies what is being thawed: %v", err)
	}

	// As rclone reads, which knows no versions.
	if _, _, err := reader.Get(t.Context(), backup.DataPrefix(prefix, dataset)+"film", ""); !is(err, backup.ErrArchived) {
		t.Errorf("the newest version of what is being thawed: %v", err)
	}

	// The nights do all that the one allows; the restore all that the other adds.
	if unused := server.Unused(keyID); len(unused) > 0 {
		t.Errorf("upload.json allows more than is needed: %q", unused)
	}
	unused := server.Unused("reader")
	for _, g := range shipped(t, "", "restore").Allow {
		for _, a := range g.Actions {
			if slices.Contains(unused, a+" "+g.Prefix) {
				t.Errorf("restore.json allows %s on %s, which is not needed", a, g.Prefix)
			}
		}
	}
}
