package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/offsite"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

var _ offsite.Bucket = (*s3.Bucket)(nil)

const (
	keyID  = "AKIACANARYKEYIDCANARY"
	secret = "canary/secret+canary/secret"
)

// clock is a clock that is moved by hand, and remembers what was waited.
type clock struct {
	*s3test.Clock
	mu     sync.Mutex
	waited []time.Duration
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	return ctx.Err()
}

type scene struct {
	*s3.Bucket
	server *s3test.Server
	clock  *clock
	conf   s3.Config
}

// open makes a double with a bucket that keeps versions, and a client with all rights.
func open(t *testing.T, change ...func(*s3test.Options, *s3.Config)) *scene {
	t.Helper()
	c := &clock{Clock: s3test.NewClock()}
	opt := s3test.Options{Region: "eu-central-1", Now: c.Now, Keys: []s3test.Key{s3test.Admin(keyID, secret)}}
	conf := s3.Config{Bucket: "smith", Region: "eu-central-1", Now: c.Now, Wait: c.Wait,
		Credentials: func() (string, string, string, error) { return keyID, secret, "", nil }}
	for _, f := range change {
		f(&opt, &conf)
	}
	server, err := s3test.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.CreateBucket("smith"), server.EnableVersioning("smith")); err != nil {
		t.Fatal(err)
	}
	if conf.Endpoint == "" {
		web := httptest.NewServer(server)
		t.Cleanup(web.Close)
		conf.Endpoint = web.URL
	}
	b, err := s3.Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return &scene{b, server, c, conf}
}

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

func spec(key string, body []byte) backup.PutSpec {
	return backup.PutSpec{Key: key, Size: int64(len(body)), Class: "GLACIER", Metadata: map[string]string{"mtime": "1.5"}}
}

func TestPutThawGet(t *testing.T) {
	b := open(t)
	ctx := t.Context()
	body := []byte("hello")
	put, err := b.Put(ctx, spec("data/ü +%/..//x\x01", body), body)
	check(t, err, nil)
	got, err := b.Head(ctx, put.Key, put.VersionID)
	check(t, err, nil)
	if got.Class != "GLACIER" || got.CRC64 != put.CRC64 || got.Metadata["mtime"] != "1.5" || got.ETag != put.ETag {
		t.Errorf("head: %+v", got)
	}
	_, _, err = b.Get(ctx, put.Key, "")
	check(t, err, backup.ErrArchived)
	check(t, b.Thaw(ctx, put.Key, put.VersionID, backup.Bulk, 2), nil)
	check(t, b.Thaw(ctx, put.Key, put.VersionID, backup.Bulk, 2), nil)
	got, err = b.Head(ctx, put.Key, "")
	check(t, err, nil)
	if !got.Restore.Ongoing {
		t.Errorf("restore: %+v", got.Restore)
	}
	b.clock.Add(5 * time.Hour)
	r, got, err := b.Get(ctx, put.Key, put.VersionID)
	check(t, err, nil)
	have, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()), nil)
	if !bytes.Equal(have, body) || got.Restore.Until.IsZero() || got.CRC64 != put.CRC64 {
		t.Errorf("%q %+v", have, got)
	}
	var keys []string
	check(t, b.List(ctx, "data/", func(o backup.Object) error { keys = append(keys, o.Key); return nil }), nil)
	check(t, b.Versions(ctx, "data/", func(o backup.Object) error { keys = append(keys, o.Key); return nil }), nil)
	if len(keys) != 2 || keys[0] != put.Key || keys[1] != put.Key {
		t.Errorf("keys: %q", keys)
	}
}

func TestMultipart(t *testing.T) {
	b := open(t, func(o *s3test.Options, _ *s3.Config) { o.MinPart = -1 })
	ctx := t.Context()
	sp := spec("packs/1", []byte("helloworld"))
	id, err := b.StartUpload(ctx, sp)
	check(t, err, nil)
	_, err = b.PutPart(ctx, sp.Key, id, 1, []byte("hello"))
	check(t, err, nil)
	_, err = b.PutPart(ctx, sp.Key, id, 2, []byte("world"))
	check(t, err, nil)
	parts, err := b.Parts(ctx, sp.Key, id)
	check(t, err, nil)
	obj, err := b.CompleteUpload(ctx, sp, id, parts, s3.CRC64([]byte("helloworld")))
	check(t, err, nil)
	got, err := b.Head(ctx, sp.Key, obj.VersionID)
	check(t, err, nil)
	if got.ETag != obj.ETag || got.CRC64 != obj.CRC64 || got.Class != "GLACIER" || got.Size != 10 {
		t.Errorf("%+v", got)
	}
	_, err = b.Parts(ctx, sp.Key, id)
	check(t, err, backup.ErrNotFound)
	check(t, b.AbortUpload(ctx, sp.Key, id), nil)
}
