package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

func stored(t *testing.T, b *scene, key string) (versions []backup.Object) {
	t.Helper()
	b.server.ClearScript()
	check(t, b.Versions(t.Context(), key, func(o backup.Object) error {
		versions = append(versions, o)
		return nil
	}), nil)
	return versions
}

func TestHalfOfAllPutsAreRefusedAndNoneIsLost(t *testing.T) {
	b := open(t, func(_ *s3test.Options, c *s3.Config) {
		c.MaxConns = 16
		// A second takes a millisecond. With no wait at all workers would take turns,
		// and the same ones would meet every refusal.
		c.Wait = func(ctx context.Context, d time.Duration) error {
			ctx, cancel := context.WithTimeout(ctx, d/1000)
			defer cancel()
			<-ctx.Done()
			return nil
		}
	})
	b.server.Script(s3test.Fault{Op: "PutObject", Every: 2, Status: 503})
	const files = 300
	var wg sync.WaitGroup
	work := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range work {
				body := fmt.Appendf(nil, "file %d", i)
				if _, err := b.Put(t.Context(), spec(fmt.Sprintf("f/%03d", i), body), body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	wg.Wait()
	if got := stored(t, b, "f/"); len(got) != files {
		t.Errorf("%d versions of %d files: a refusal makes none", len(got), files)
	}
	if n := b.server.Requests("PutObject"); n < 2*files-16 || n > 2*files+16 {
		t.Errorf("%d requests for %d files", n, files)
	}
}

// Each method against each way of failing that passes: tried again until it works.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	body := []byte("body")
	ops := map[string]func(ctx context.Context, b *scene) error{
		"PutObject": func(ctx context.Context, b *scene) error {
			_, err := b.Put(ctx, spec("k", body), body)
			return err
		},
		"CreateMultipartUpload": func(ctx context.Context, b *scene) error {
			_, err := b.StartUpload(ctx, spec("k", body))
			return err
		},
		"UploadPart": func(ctx context.Context, b *scene) error {
			_, err := b.PutPart(ctx, "k", begin(t, b), 1, body)
			return err
		},
		"ListParts": func(ctx context.Context, b *scene) error {
			_, err := b.Parts(ctx, "k", begin(t, b))
			return err
		},
		"CompleteMultipartUpload": func(ctx context.Context, b *scene) error { return complete(ctx, t, b, body) },
		"AbortMultipartUpload":    func(ctx context.Context, b *scene) error { return b.AbortUpload(ctx, "k", begin(t, b)) },
		"ListObjectVersions": func(ctx context.Context, b *scene) error {
			return b.Versions(ctx, "", func(backup.Object) error { return nil })
		},
		"ListObjectsV2": func(ctx context.Context, b *scene) error {
			return b.List(ctx, "", func(backup.Object) error { return nil })
		},
		"GetObject": func(ctx context.Context, b *scene) error {
			r, _, err := b.Get(ctx, "warm", "")
			if err == nil {
				_, err = io.ReadAll(r)
				err = errors.Join(err, r.Close())
			}
			return err
		},
		"HeadObject": func(ctx context.Context, b *scene) error {
			_, err := b.Head(ctx, "warm", "")
			return err
		},
		"RestoreObject": func(ctx context.Context, b *scene) error { return b.Thaw(ctx, "cold", "", backup.Bulk, 1) },
	}
	faults := map[string]s3test.Fault{
		"503":                  {Status: 503},
		"500":                  {Status: 500, Code: "InternalError"},
		"502 of a proxy":       {Status: 502, Code: "BadGateway"},
		"504":                  {Status: 504, Code: "GatewayTimeout"},
		"429":                  {Status: 429, Code: "TooManyRequests"},
		"408":                  {Status: 408, Code: "Timeout"},
		"400 RequestTimeout":   {Status: 400, Code: "RequestTimeout"},
		"connection reset":     {Reset: -1},
		"the answer is lost":   {DropReply: true},
		"a clock that is off":  {Skew: 20 * time.Minute},
		"after half of a body": {Reset: 2},
	}
	for op, do := range ops {
		for name, f := range faults {
			switch {
			case op == "GetObject" && f.Reset > 0:
				continue // a body that breaks off is its reader's to see
			case op == "HeadObject" && f.Code == "RequestTimeout":
				continue // it is about a body, and its answer would have no code
			}
			t.Run(op+" "+name, func(t *testing.T) {
				b := open(t, func(o *s3test.Options, _ *s3.Config) { o.MinPart = -1 })
				put(t, b, "warm", "STANDARD")
				put(t, b, "cold", "GLACIER")
				b.clock.Add(time.Second)
				before := b.server.Requests(op)
				f.Op, f.N = op, 1
				b.server.Script(f)
				if f.Skew != 0 { // the second answer's clock is right again
					b.server.Script(s3test.Fault{Op: op, N: 2, Skew: f.Skew})
				}
				if err := do(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if n := b.server.Requests(op) - before; n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		}
	}
}

func put(t *testing.T, b *scene, key, class string) {
	t.Helper()
	sp := spec(key, []byte(key))
	sp.Class = class
	_, err := b.Put(t.Context(), sp, []byte(key))
	check(t, err, nil)
}

func begin(t *testing.T, b *scene) string {
	t.Helper()
	id, err := b.StartUpload(t.Context(), backup.PutSpec{Key: "k", Size: 4})
	check(t, err, nil)
	return id
}

func complete(ctx context.Context, t *testing.T, b *scene, body []byte) error {
	t.Helper()
	id := begin(t, b)
	part, err := b.PutPart(t.Context(), "k", id, 1, body)
	check(t, err, nil)
	_, err = b.CompleteUpload(ctx, backup.PutSpec{Key: "k", Size: int64(len(body))}, id, []backup.Part{part}, s3.CRC64(body))
	return err
}

func TestALostAnswer(t *testing.T) {
	body := []byte("body")
	lost := func(op string) s3test.Fault { return s3test.Fault{Op: op, N: 1, DropReply: true} }
	t.Run("to a put: a second version, and the last one is returned", func(t *testing.T) {
		b := open(t)
		b.server.Script(lost("PutObject"))
		obj, err := b.Put(t.Context(), spec("k", body), body)
		check(t, err, nil)
		if got := stored(t, b, "k"); len(got) != 2 || got[0].VersionID != obj.VersionID {
			t.Errorf("versions %+v, returned %+v", got, obj)
		}
	})
	t.Run("to a put if absent: the one version is found to be ours", func(t *testing.T) {
		b := open(t)
		b.server.Script(lost("PutObject"))
		sp := spec("k", body)
		sp.IfAbsent = true
		obj, err := b.Put(t.Context(), sp, body)
		check(t, err, nil)
		if got := stored(t, b, "k"); len(got) != 1 || got[0].VersionID != obj.VersionID || obj.VersionID == "" {
			t.Errorf("versions %+v, returned %+v", got, obj)
		}
	})
	t.Run("and somebody else's object is there", func(t *testing.T) {
		b := open(t)
		put(t, b, "k", "STANDARD")
		b.server.Script(s3test.Fault{Op: "PutObject", N: 1, Reset: -1})
		sp := spec("k", body)
		sp.IfAbsent = true
		_, err := b.Put(t.Context(), sp, body)
		check(t, err, backup.ErrExists)
	})
	t.Run("and the key may not look", func(t *testing.T) {
		b := open(t, func(o *s3test.Options, _ *s3.Config) {
			o.Keys = []s3test.Key{{ID: keyID, Secret: secret, Allow: []s3test.Grant{{Actions: []string{"PutObject"}}}}}
		})
		b.server.Script(lost("PutObject"))
		sp := spec("k", body)
		sp.IfAbsent = true
		_, err := b.Put(t.Context(), sp, body)
		check(t, err, backup.ErrUnclear)
	})
	t.Run("to a completion: the object is found", func(t *testing.T) {
		b := open(t, func(o *s3test.Options, _ *s3.Config) { o.MinPart = -1 })
		b.server.Script(lost("CompleteMultipartUpload"))
		check(t, complete(t.Context(), t, b, body), nil)
		if got := stored(t, b, "k"); len(got) != 1 {
			t.Errorf("versions %+v", got)
		}
	})
	t.Run("to a part: it is put again", func(t *testing.T) {
		b := open(t)
		id := begin(t, b)
		b.server.Script(lost("UploadPart"))
		p, err := b.PutPart(t.Context(), "k", id, 1, body)
		check(t, err, nil)
		parts, err := b.Parts(t.Context(), "k", id)
		if check(t, err, nil); len(parts) != 1 || parts[0] != p {
			t.Errorf("parts %+v, want %+v", parts, p)
		}
	})
}

func TestGivingUp(t *testing.T) {
	for name, test := range map[string]struct {
		fault    s3test.Fault
		want     error
		requests int
		says     string
	}{
		"slow down for good":     {s3test.Fault{Status: 503}, backup.ErrThrottled, 40, "SlowDown"},
		"a Retry-After too long": {s3test.Fault{Status: 503, RetryAfter: "3600"}, backup.ErrThrottled, 1, "SlowDown"},
		"errors for good":        {s3test.Fault{Status: 500, Code: "InternalError"}, backup.ErrUnreachable, 10, "InternalError"},
		"no answer ever":         {s3test.Fault{Reset: -1}, backup.ErrUnreachable, 10, "EOF"},
		"forbidden":              {s3test.Fault{Status: 403, Code: "AccessDenied"}, backup.ErrForbidden, 1, "AccessDenied"},
		"a wrong bucket":         {s3test.Fault{Status: 404, Code: "NoSuchBucket"}, backup.ErrNotFound, 1, "bucket smith"},
		"a wrong request":        {s3test.Fault{Status: 400, Code: "InvalidArgument"}, backup.ErrRefused, 1, "InvalidArgument"},
		"damaged twice":          {s3test.Fault{Status: 400, Code: "BadDigest"}, backup.ErrDamaged, 2, "BadDigest"},
		"another object arrived": {s3test.Fault{WrongETag: true}, backup.ErrDamaged, 2, "ETag 0000"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.server.Script(test.fault)
			_, err := b.Put(t.Context(), spec("k", nil), nil)
			check(t, err, test.want)
			if n := b.server.Requests(""); n != test.requests || int64(n) != b.Requests() {
				t.Errorf("%d requests, %d by our count, want %d", n, b.Requests(), test.requests)
			}
			if !strings.HasPrefix(err.Error(), "put k: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %q, want it to say %q", err, test.says)
			}
		})
	}
}

func TestWaits(t *testing.T) {
	b := open(t)
	b.server.Script(s3test.Fault{N: 1, Status: 503, RetryAfter: "7"}, s3test.Fault{Status: 503})
	_, err := b.Put(t.Context(), spec("k", nil), nil)
	check(t, err, backup.ErrThrottled)
	if len(b.clock.waited) != 39 || b.clock.waited[0] != 7*time.Second {
		t.Errorf("waits: %v, want 39, the first as long as Retry-After", b.clock.waited)
	}
	for i, d := range b.clock.waited {
		if d < 100*time.Millisecond || d > 20*time.Second {
			t.Errorf("wait %d: %s, want 0.1 s to 20 s", i, d)
		}
	}
}

func TestCompletionAnswers200WithAnError(t *testing.T) {
	b := open(t, func(o *s3test.Options, _ *s3.Config) { o.MinPart = -1 })
	b.server.Script(s3test.Fault{Op: "CompleteMultipartUpload", N: 1, ErrorIn200: "InternalError"})
	check(t, complete(t.Context(), t, b, []byte("body")), nil)
	if got := stored(t, b, "k"); len(got) != 1 {
		t.Errorf("versions %+v", got)
	}
	b.server.Script(s3test.Fault{Op: "CompleteMultipartUpload", ErrorIn200: "InternalError"})
	check(t, complete(t.Context(), t, b, []byte("body")), backup.ErrUnreachable)
	b.server.ClearScript()
	b.server.Script(s3test.Fault{Op: "CompleteMultipartUpload", ErrorIn200: "AccessDenied"})
	check(t, complete(t.Context(), t, b, []byte("body")), backup.ErrForbidden)
}

func TestAnotherObjectThanTheUploadsArrived(t *testing.T) {
	for _, op := range []string{"UploadPart", "CompleteMultipartUpload"} {
		b := open(t, func(o *s3test.Options, _ *s3.Config) { o.MinPart = -1 })
		b.server.Script(s3test.Fault{Op: op, WrongETag: true})
		id := begin(t, b)
		part, err := b.PutPart(t.Context(), "k", id, 1, []byte("body"))
		if err == nil {
			_, err = b.CompleteUpload(t.Context(), backup.PutSpec{Key: "k", Size: 4}, id, []backup.Part{part}, s3.CRC64([]byte("body")))
		}
		if !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: error = %v", op, err)
		}
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	b := open(t)
	body := []byte("half of this never comes")
	sp := spec("k", body)
	sp.Class = "STANDARD"
	_, err := b.Put(t.Context(), sp, body)
	check(t, err, nil)
	b.server.Script(s3test.Fault{Op: "GetObject", Reset: 10})
	r, _, err := b.Get(t.Context(), "k", "")
	check(t, err, nil)
	got, err := io.ReadAll(r)
	check(t, err, io.ErrUnexpectedEOF)
	check(t, err, backup.ErrUnreachable)
	if check(t, r.Close(), nil); string(got) != "half of th" {
		t.Errorf("got %q", got)
	}
}

func TestCanceledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := open(t, func(_ *s3test.Options, c *s3.Config) {
		c.Wait = func(ctx context.Context, _ time.Duration) error {
			cancel()
			return context.Cause(ctx)
		}
	})
	b.server.Script(s3test.Fault{Status: 503})
	_, err := b.Put(ctx, spec("k", nil), nil)
	check(t, err, context.Canceled)
	if n := b.Requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
}
