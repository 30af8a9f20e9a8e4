package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

const session = "canary-session-token"

// every calls each method once and returns the errors.
func every(ctx context.Context, b *s3.Bucket) map[string]error {
	none := func(backup.Object) error { return nil }
	errs := map[string]error{}
	_, errs["put"] = b.Put(ctx, spec("k", nil), nil)
	_, errs["start upload"] = b.StartUpload(ctx, spec("k", nil))
	_, errs["put part"] = b.PutPart(ctx, "k", "id", 1, nil)
	_, errs["list parts"] = b.Parts(ctx, "k", "id")
	_, errs["complete upload"] = b.CompleteUpload(ctx, spec("k", nil), "id", []backup.Part{{Number: 1}}, "")
	errs["abort upload"] = b.AbortUpload(ctx, "k", "id")
	errs["list versions"] = b.Versions(ctx, "k", none)
	errs["list"] = b.List(ctx, "k", none)
	_, _, errs["get"] = b.Get(ctx, "k", "")
	_, errs["head"] = b.Head(ctx, "k", "")
	errs["thaw"] = b.Thaw(ctx, "k", "", backup.Bulk, 1)
	_, errs["get versioning"] = b.Check(ctx, "")
	return errs
}

func TestNoErrorTellsASecret(t *testing.T) {
	// What a server that hates us might say.
	gossip := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s %s %s</Message><AWSAccessKeyId>%s</AWSAccessKeyId></Error>", code, keyID, secret, session, r.Header, keyID)
		}
	}
	servers := map[string]struct {
		handler http.Handler
		want    error // of any but HEAD
	}{
		"a wrong signature": {gossip(403, "SignatureDoesNotMatch"), backup.ErrCredentials},
		"an unknown key":    {gossip(403, "InvalidAccessKeyId"), backup.ErrCredentials},
		"an old token":      {gossip(400, "ExpiredToken"), backup.ErrCredentials},
		"a denial":          {gossip(403, "AccessDenied"), backup.ErrForbidden},
		"a wrong request":   {gossip(400, keyID+secret), backup.ErrRefused},
		"a fault":           {gossip(500, "InternalError"), backup.ErrUnreachable},
		"a 200 with XML":    {gossip(200, "InternalError"), nil},
		"a broken answer": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "<"+secret)
		}), nil},
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(server.handler)
			defer web.Close()
			b, err := s3.Open(s3.Config{Bucket: "smith", Region: "eu-central-1", Endpoint: web.URL, Tries: 2,
				Credentials: func() (string, string, string, error) { return keyID, secret, session, nil },
				Wait:        func(context.Context, time.Duration) error { return nil }})
			check(t, err, nil)
			defer b.Close()
			for op, err := range every(t.Context(), b) {
				if err == nil {
					continue
				}
				for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
					for _, canary := range []string{keyID, secret, session, "canary"} {
						if strings.Contains(text, canary) {
							t.Errorf("%s tells %s: %s", op, canary, text)
						}
					}
				}
				if !strings.HasPrefix(err.Error(), op) {
					t.Errorf("%s: %q does not begin with what was done", op, err)
				}
				if op != "head" && server.want != nil && !errors.Is(err, server.want) {
					t.Errorf("%s: error = %v, want %v", op, err, server.want)
				}
			}
		})
	}
}

func TestTheDoubleRefusesAWrongSecretAndNobodyHearsOfIt(t *testing.T) {
	b := open(t, func(o *s3test.Options, _ *s3.Config) { o.Keys = []s3test.Key{s3test.Admin(keyID, "another")} })
	for op, err := range every(t.Context(), b.Bucket) {
		if op == "head" { // its answer has no code
			check(t, err, backup.ErrForbidden)
		} else {
			check(t, err, backup.ErrCredentials)
		}
		if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), keyID) {
			t.Errorf("%s: %s", op, err)
		}
	}
}

func TestARotatedKeyIsReadAnew(t *testing.T) {
	id, reads := keyID, 0
	b := open(t, func(_ *s3test.Options, c *s3.Config) {
		c.Credentials = func() (string, string, string, error) {
			reads++
			return id, secret, "", nil
		}
	})
	put(t, b, "k", "STANDARD")
	put(t, b, "k", "STANDARD")
	if reads != 1 {
		t.Errorf("read %d times within a minute, want once", reads)
	}
	id = "AKIANEWKEYNEWKEYNEWK"
	b.server.SetKeys(s3test.Admin(id, secret))
	put(t, b, "k", "STANDARD")
	check(t, b.List(t.Context(), "", func(backup.Object) error { return nil }), nil)
	if reads != 2 {
		t.Errorf("read %d times, want 2", reads)
	}
	b.clock.Add(2 * time.Minute)
	put(t, b, "k", "STANDARD")
	if reads != 3 {
		t.Errorf("read %d times, want 3: a minute has passed", reads)
	}
}

func TestASessionTokenIsSent(t *testing.T) {
	b := open(t, func(o *s3test.Options, c *s3.Config) {
		o.Keys[0].Session = session
		c.Credentials = func() (string, string, string, error) { return keyID, secret, session, nil }
	})
	put(t, b, "k", "STANDARD")
	_, err := b.Head(t.Context(), "k", "")
	check(t, err, nil)
	key := s3test.Admin(keyID, secret)
	key.Session, key.Expired = session, true
	b.server.SetKeys(key)
	_, err = b.Put(t.Context(), spec("k", nil), nil)
	check(t, err, backup.ErrCredentials)
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	b := open(t, func(_ *s3test.Options, c *s3.Config) {
		c.Credentials = func() (string, string, string, error) { return "", "", "", errors.New("no such file") }
	})
	for op, err := range every(t.Context(), b.Bucket) {
		if !errors.Is(err, backup.ErrCredentials) || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: error = %v", op, err)
		}
	}
	if n := b.Requests(); n != 0 {
		t.Errorf("%d requests without credentials", n)
	}
}

func TestParseCredentials(t *testing.T) {
	for name, test := range map[string]struct{ text, want, err string }{
		"as aws configure writes it": {"[default]\naws_access_key_id = ID\naws_secret_access_key = SE/CRET+=\n", "ID SE/CRET+= ", ""},
		"with a session":             {"[default]\naws_access_key_id=ID\naws_secret_access_key=S\naws_session_token=T==\nregion = x\n", "ID S T==", ""},
		"among other profiles":       {"# mine\n[work]\naws_access_key_id=W\nnoise\n\n[default]\r\nAWS_Access_Key_ID=ID\r\naws_secret_access_key=S\r\n; end\n[z]\naws_access_key_id=Z\n", "ID S ", ""},
		"empty":                      {"", "", "credentials: profile [default] has no aws_access_key_id"},
		"no secret":                  {"[default]\naws_access_key_id=canary", "", "credentials: profile [default] has no aws_secret_access_key"},
		"no default":                 {"[work]\naws_access_key_id=canary", "", "credentials: profile [default] has no aws_access_key_id"},
		"the key alone":              {"canary", "", "credentials: line 1 comes before [default]"},
		"no setting":                 {"[default]\ncanary", "", "credentials: line 2 is no setting: want name = value"},
		"a line break in the key":    {"[default]\naws_access_key_id=ID\naws_secret_access_key=can ary", "", "credentials: aws_secret_access_key has a character that no key has"},
	} {
		t.Run(name, func(t *testing.T) {
			id, secret, session, err := s3.ParseCredentials(test.text)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.err || err == nil && id+" "+secret+" "+session != test.want {
				t.Errorf("got %q %q %q, error %q", id, secret, session, got)
			}
		})
	}
}

func TestAnUploadersKeyCanOnlyAdd(t *testing.T) {
	b := open(t, func(o *s3test.Options, _ *s3.Config) {
		o.MinPart = -1
		o.Keys = []s3test.Key{s3test.Uploader(keyID, secret, "smith/", "smith/manifests/")}
	})
	put(t, b, "smith/data/k", "GLACIER")
	put(t, b, "smith/manifests/m", "STANDARD")
	check(t, b.List(t.Context(), "smith/", func(backup.Object) error { return nil }), nil)
	r, _, err := b.Get(t.Context(), "smith/manifests/m", "")
	check(t, err, nil)
	_, _ = io.ReadAll(r)
	check(t, r.Close(), nil)
	_, err = b.Put(t.Context(), spec("other/k", nil), nil)
	check(t, err, backup.ErrForbidden)
	_, _, err = b.Get(t.Context(), "smith/data/k", "")
	check(t, err, backup.ErrForbidden)
	if want := "get smith/data/k: AccessDenied: User is not authorized to perform: s3:GetObject: not permitted"; err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
	check(t, b.Thaw(t.Context(), "smith/data/k", "", backup.Bulk, 1), backup.ErrForbidden)
}
