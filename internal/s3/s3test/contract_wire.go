package s3test

import (
	"crypto/md5" // what Content-MD5 is
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"hash"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request is one that no client of ours would send. It is signed by the SDK's
// signer, which knows nothing of how the double checks.
type request struct {
	method, key, query string // query in canonical form
	headers            map[string]string
	body               string
	unsigned           bool
	id, secret         string              // of another key
	off                time.Duration       // of the clock it is signed with
	after              func(*http.Request) // changes it once it is signed
}

type reply struct {
	status int
	head   http.Header
	body   string
	code   string
}

func (s Scene) send(t *testing.T, r request) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.Endpoint+"/"+s.Name+"/"+escape(r.key, true)+"?"+r.query, strings.NewReader(r.body))
	check(t, err, nil)
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	sum := sha256.Sum256([]byte(r.body))
	payload := hex.EncodeToString(sum[:])
	if h := req.Header.Get("X-Amz-Content-Sha256"); h != "" {
		payload = h
	}
	req.Header.Set("X-Amz-Content-Sha256", payload)
	creds := aws.Credentials{AccessKeyID: s.ID, SecretAccessKey: s.Secret}
	if r.id != "" {
		creds = aws.Credentials{AccessKeyID: r.id, SecretAccessKey: r.secret}
	}
	if !r.unsigned {
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		check(t, signer.SignHTTP(t.Context(), creds, req, payload, "s3", s.Region, s.Now().Add(r.off)), nil)
	}
	if r.after != nil {
		r.after(req)
	}
	resp, err := s.Client.Do(req)
	check(t, err, nil)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	check(t, err, nil)
	var doc struct{ Code string }
	_ = xml.Unmarshal(body, &doc) // many answers are no document
	return reply{resp.StatusCode, resp.Header, string(body), doc.Code}
}

func (r reply) want(t *testing.T, status int, code string) reply {
	t.Helper()
	if r.status != status || r.code != code {
		t.Errorf("answer: %d %s, want %d %s\n%s", r.status, r.code, status, code, r.body)
	}
	return r
}

func (r reply) header(t *testing.T, name, want string) {
	t.Helper()
	if got := r.head.Get(name); got != want {
		t.Errorf("%s: %q, want %q (%d %s)", name, got, want, r.status, r.code)
	}
}

func encode(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

func testChecksums(t *testing.T, s Scene) {
	const body, other = "right", "wrong"
	sums := map[string]func(string) string{"Content-Md5": func(s string) string {
		sum := md5.Sum([]byte(s))
		return base64.StdEncoding.EncodeToString(sum[:])
	}}
	for _, a := range algorithms {
		sums[a.header] = func(s string) string {
			h := a.make()
			_, _ = io.WriteString(h, s)
			return encode(h)
		}
	}
	for header, sum := range sums {
		put := request{method: http.MethodPut, key: "k", body: body, headers: map[string]string{header: sum(other)}}
		s.send(t, put).want(t, http.StatusBadRequest, "BadDigest")
		if got := s.versions(t, ""); len(got) != 0 {
			t.Fatalf("%s: a damaged body was kept: %+v", header, got)
		}
	}
	for header, sum := range sums {
		put := request{method: http.MethodPut, key: "k", body: body, headers: map[string]string{header: sum(body)}}
		got := s.send(t, put).want(t, http.StatusOK, "")
		if header != "Content-Md5" {
			got.header(t, header, sum(body))
		}
	}
	s.send(t, request{method: http.MethodPut, key: "k", body: body, headers: map[string]string{"X-Amz-Content-Sha256": strings.Repeat("0", 64)}}).
		want(t, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
	s.send(t, request{method: http.MethodPut, key: "k", body: body, headers: map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}).
		want(t, http.StatusOK, "")
}

func testSignatures(t *testing.T, s Scene) {
	put := request{method: http.MethodPut, key: "k", body: "x"}
	with := func(change func(*request)) request {
		r := put
		change(&r)
		return r
	}
	for name, test := range map[string]struct {
		request request
		status  int
		code    string
	}{
		"right":         {put, http.StatusOK, ""},
		"none":          {with(func(r *request) { r.unsigned = true }), http.StatusForbidden, "AccessDenied"},
		"wrong secret":  {with(func(r *request) { r.id, r.secret = s.ID, "wrong" }), http.StatusForbidden, "SignatureDoesNotMatch"},
		"old":           {with(func(r *request) { r.off = -16 * time.Minute }), http.StatusForbidden, "RequestTimeTooSkewed"},
		"from tomorrow": {with(func(r *request) { r.off = 16 * time.Minute }), http.StatusForbidden, "RequestTimeTooSkewed"},
		"another key's": {with(func(r *request) { r.after = func(h *http.Request) { h.URL.Path += "2" } }), http.StatusForbidden, "SignatureDoesNotMatch"},
		"a query added": {with(func(r *request) { r.after = func(h *http.Request) { h.URL.RawQuery = "x-id=PutObject" } }), http.StatusForbidden, "SignatureDoesNotMatch"},
		"a header changed": {with(func(r *request) {
			r.headers = map[string]string{"X-Amz-Meta-A": "1"}
			r.after = func(h *http.Request) { h.Header.Set("X-Amz-Meta-A", "2") }
		}), http.StatusForbidden, "SignatureDoesNotMatch"},
		"14 minutes old": {with(func(r *request) { r.off = -14 * time.Minute }), http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) { s.send(t, test.request).want(t, test.status, test.code) })
	}
}

func testUnknownKey(t *testing.T, s Scene) {
	s.send(t, request{method: http.MethodPut, key: "k", body: "x", id: "AKIANOBODYNOBODYNOBO", secret: s.Secret}).
		want(t, http.StatusForbidden, "InvalidAccessKeyId")
}

func testRange(t *testing.T, s Scene) {
	s.put(t, "k", "0123456789")
	got := s.send(t, request{method: http.MethodGet, key: "k", headers: map[string]string{"Range": "bytes=2-4"}}).want(t, http.StatusPartialContent, "")
	if got.body != "234" {
		t.Errorf("got %q", got.body)
	}
	got.header(t, "Content-Range", "bytes 2-4/10")
}
