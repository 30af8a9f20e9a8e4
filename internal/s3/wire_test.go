package s3_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

// behind puts a handler between the client and the double.
func behind(t *testing.T, tls bool, wrap func(next http.Handler) http.Handler) func(*s3test.Options, *s3.Config) {
	return func(o *s3test.Options, c *s3.Config) {
		server, err := s3test.New(*o)
		check(t, err, nil)
		check(t, server.CreateBucket("smith"), nil)
		web := httptest.NewUnstartedServer(wrap(server))
		web.Config.ErrorLog = log.New(io.Discard, "", 0)
		if tls {
			web.StartTLS()
			c.CAFile = filepath.Join(t.TempDir(), "ca.pem")
			block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
			check(t, os.WriteFile(c.CAFile, block, 0o600), nil)
		} else {
			web.Start()
		}
		t.Cleanup(web.Close)
		c.Endpoint = web.URL
	}
}

func TestWhatAPutSays(t *testing.T) {
	body := []byte("body")
	sum := sha256.Sum256(body)
	for name, test := range map[string]struct {
		tls     bool
		payload string
	}{
		"over TLS the body is not signed": {true, "UNSIGNED-PAYLOAD"},
		"over plain http it is":           {false, hex.EncodeToString(sum[:])},
	} {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			var proto string
			b := open(t, behind(t, test.tls, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got, proto = r.Header.Clone(), r.Proto
					next.ServeHTTP(w, r)
				})
			}))
			_, err := b.Put(t.Context(), spec("k", body), body)
			check(t, err, nil)
			for header, want := range map[string]string{
				"X-Amz-Content-Sha256": test.payload, "X-Amz-Storage-Class": "GLACIER", "X-Amz-Server-Side-Encryption": "AES256",
				"X-Amz-Checksum-Crc64nvme": s3.CRC64(body), "X-Amz-Meta-Mtime": "1.5", "Content-Type": "application/octet-stream", "Content-Length": "4",
			} {
				if got.Get(header) != want {
					t.Errorf("%s: %q, want %q", header, got.Get(header), want)
				}
			}
			if got.Get("Content-Encoding") != "" || got.Get("X-Amz-Trailer") != "" || proto != "HTTP/1.1" {
				t.Errorf("%s %v", proto, got)
			}
			// The SDK's own requests, of the same bucket.
			_, err = b.StartUpload(t.Context(), spec("k", body))
			check(t, err, nil)
			for header, want := range map[string]string{"X-Amz-Storage-Class": "GLACIER", "X-Amz-Server-Side-Encryption": "AES256",
				"X-Amz-Checksum-Algorithm": "CRC64NVME", "X-Amz-Checksum-Type": "FULL_OBJECT", "X-Amz-Meta-Mtime": "1.5"} {
				if got.Get(header) != want {
					t.Errorf("start upload: %s: %q, want %q", header, got.Get(header), want)
				}
			}
		})
	}
}

func TestSSECanBeLeftOut(t *testing.T) {
	var got http.Header
	b := open(t, behind(t, false, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Clone()
			next.ServeHTTP(w, r)
		})
	}), func(_ *s3test.Options, c *s3.Config) { c.Unencrypted = true })
	put(t, b, "k", "STANDARD")
	if h := got.Get("X-Amz-Server-Side-Encryption"); h != "" {
		t.Errorf("sent %q", h)
	}
}

// A key cannot leave its bucket, whatever it is called.
func TestKeysThatLookLikePaths(t *testing.T) {
	b := open(t)
	for _, key := range []string{"../other/k", "/lead", "a//b", "./a", "a/..", "%2e%2e/k"} {
		put(t, b, key, "STANDARD")
		obj, err := b.Head(t.Context(), key, "")
		if check(t, err, nil); obj.Size != int64(len(key)) {
			t.Errorf("%q: %+v", key, obj)
		}
		if got := stored(t, b, key); len(got) != 1 || got[0].Key != key {
			t.Errorf("%q is stored as %+v", key, got)
		}
	}
	_, err := b.Put(t.Context(), backup.PutSpec{}, nil)
	check(t, err, backup.ErrRefused)
	for _, value := range []string{"a\nb", "grün", " a"} {
		sp := backup.PutSpec{Key: "k", Metadata: map[string]string{"m": value}}
		_, err := b.Put(t.Context(), sp, nil)
		check(t, err, backup.ErrRefused)
		_, err = b.StartUpload(t.Context(), sp)
		check(t, err, backup.ErrRefused)
	}
	_, err = b.PutPart(t.Context(), "", "id", 1, nil)
	check(t, err, backup.ErrRefused)
	_, err = b.Head(t.Context(), "", "")
	check(t, err, backup.ErrRefused)
}

func TestAServerThatCannotBeTrustedIsNotTriedAgain(t *testing.T) {
	b := open(t, behind(t, true, func(next http.Handler) http.Handler { return next }), func(_ *s3test.Options, c *s3.Config) { c.CAFile = "" })
	for op, err := range every(t.Context(), b.Bucket) {
		check(t, err, backup.ErrUnreachable)
		if !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: error = %q", op, err)
		}
	}
	if n := b.Requests(); n != 12 {
		t.Errorf("%d requests for 12 calls", n)
	}
}

func TestNobodyListens(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	url := web.URL
	web.Close()
	b := open(t, func(_ *s3test.Options, c *s3.Config) { c.Endpoint = url })
	for op, err := range every(t.Context(), b.Bucket) {
		if check(t, err, backup.ErrUnreachable); !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: error = %q", op, err)
		}
	}
}

func TestTheWrongRegionIsNamed(t *testing.T) {
	b := open(t, func(_ *s3test.Options, c *s3.Config) { c.Region = "us-west-2" })
	for op, err := range every(t.Context(), b.Bucket) {
		if op == "head" {
			continue // its answer has no code
		}
		if check(t, err, backup.ErrRefused); op == "put" && !strings.Contains(err.Error(), "the bucket is in region eu-central-1, not us-west-2") {
			t.Errorf("%s: error = %q", op, err)
		}
	}
}

func TestAServerThatHangs(t *testing.T) {
	ended := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}))
	defer web.Close()
	defer close(ended)
	patience := func(d time.Duration) *scene {
		return open(t, func(_ *s3test.Options, c *s3.Config) { c.Endpoint, c.Stall, c.Tries = web.URL, d, 2 })
	}
	b := patience(50 * time.Millisecond)
	_, err := b.Put(t.Context(), spec("k", nil), nil) // read, and never answered
	check(t, err, backup.ErrUnreachable)
	body := make([]byte, 16<<20) // more than the kernels on the way hold
	_, err = b.Put(t.Context(), spec("k", body), body)
	check(t, err, backup.ErrUnreachable)
	b = patience(2 * time.Second) // enough for the headers on a busy machine
	r, _, err := b.Get(t.Context(), "k", "")
	check(t, err, nil)
	got, err := io.ReadAll(r)
	check(t, err, backup.ErrUnreachable)
	if string(got) != "half" || err.Error() != "get k: nothing came for 2s: cannot be reached" {
		t.Errorf("got %q, error %v", got, err)
	}
	_ = r.Close()
}

func TestRequestsAtATimeAreLimited(t *testing.T) {
	var now, most atomic.Int64
	b := open(t, behind(t, false, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			next.ServeHTTP(w, r)
			now.Add(-1)
		})
	}), func(_ *s3test.Options, c *s3.Config) { c.MaxConns = 3 })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := b.Put(t.Context(), spec(fmt.Sprint(i), nil), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if m := most.Load(); m > 3 {
		t.Errorf("%d requests at a time, want at most 3", m)
	}
}

func TestOpenNeedsToKnow(t *testing.T) {
	creds := func() (string, string, string, error) { return keyID, secret, "", nil }
	for name, conf := range map[string]s3.Config{
		"which bucket":  {Region: "r", Credentials: creds},
		"which region":  {Bucket: "smith", Credentials: creds},
		"whose key":     {Bucket: "smith", Region: "r"},
		"an endpoint":   {Bucket: "smith", Region: "r", Credentials: creds, Endpoint: "://"},
		"authorities":   {Bucket: "smith", Region: "r", Credentials: creds, CAFile: "/nonexistent"},
		"a certificate": {Bucket: "smith", Region: "r", Credentials: creds, CAFile: os.DevNull},
	} {
		if _, err := s3.Open(conf); err == nil {
			t.Errorf("%s: opened without", name)
		}
	}
	b, err := s3.Open(s3.Config{Bucket: "smith", Region: "eu-central-1", Credentials: creds})
	check(t, err, nil)
	b.Close()
}

// A 4 KiB file is what a home server has most of: this is the cost of one.
func BenchmarkPut4KiB(b *testing.B) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Amz-Checksum-Crc64nvme", r.Header.Get("X-Amz-Checksum-Crc64nvme"))
	}))
	defer web.Close()
	bucket, err := s3.Open(s3.Config{Bucket: "smith", Region: "eu-central-1", Endpoint: web.URL,
		Credentials: func() (string, string, string, error) { return keyID, secret, "", nil }})
	if err != nil {
		b.Fatal(err)
	}
	defer bucket.Close()
	body := make([]byte, 4<<10)
	sp := spec("data/hdd/@/a/file", body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bucket.Put(context.Background(), sp, body); err != nil {
			b.Fatal(err)
		}
	}
}
