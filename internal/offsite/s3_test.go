package offsite_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

const (
	keyID  = "AKIAOFFSITE"
	secret = "secret/of/the/uploader"
)

// newS3 is a scene over the real client and the double, with the key that the daemon
// has: it puts and lists, reads manifests, and deletes nothing. Then reader has a key
// that reads, as a restore needs.
func newS3(t *testing.T) (s *scene, server *s3test.Server, reader *s3.Bucket) {
	t.Helper()
	s, server, reader, _ = newS3At(t)
	return s, server, reader
}

func newS3At(t *testing.T) (s *scene, server *s3test.Server, reader *s3.Bucket, endpoint string) {
	t.Helper()
	server, err := s3test.New(s3test.Options{
		PageSize: 3, MinPart: -1,
		Keys: []s3test.Key{s3test.Uploader(keyID, secret, prefix, prefix+"/manifests/"), s3test.Admin("reader", secret)},
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
