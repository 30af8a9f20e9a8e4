package s3test_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

const (
	keyID  = "AKIATESTTESTTESTTEST"
	secret = "secret"
)

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

// serve starts a double and a client of its bucket "smith".
func serve(t *testing.T, opt s3test.Options) (*s3test.Server, *s3.Bucket) {
	t.Helper()
	if opt.Now == nil {
		opt.Now = s3test.NewClock().Now
	}
	if opt.Keys == nil {
		opt.Keys = []s3test.Key{s3test.Admin(keyID, secret)}
	}
	server, err := s3test.New(opt)
	check(t, err, nil)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return server, client(t, web.URL, opt.Now)
}

func client(t *testing.T, url string, now func() time.Time) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(s3.Config{Bucket: "smith", Region: "us-east-1", Endpoint: url, Now: now,
		Credentials: func() (string, string, string, error) { return keyID, secret, "", nil }})
	check(t, err, nil)
	t.Cleanup(b.Close)
	return b
}

func create(t *testing.T, s *s3test.Server) {
	t.Helper()
	check(t, errors.Join(s.CreateBucket("smith"), s.EnableVersioning("smith")), nil)
}

func put(t *testing.T, b *s3.Bucket, key, class, body string) backup.Object {
	t.Helper()
	obj, err := b.Put(t.Context(), backup.PutSpec{Key: key, Size: int64(len(body)), Class: class}, []byte(body))
	check(t, err, nil)
	return obj
}

func read(t *testing.T, b *s3.Bucket, key, version string) string {
	t.Helper()
	r, _, err := b.Get(t.Context(), key, version)
	check(t, err, nil)
	body, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()), nil)
	return string(body)
}

func versions(t *testing.T, b *s3.Bucket, prefix string) (all []backup.Object) {
	t.Helper()
	check(t, b.Versions(t.Context(), prefix, func(o backup.Object) error {
		all = append(all, o)
		return nil
	}), nil)
	return all
}
