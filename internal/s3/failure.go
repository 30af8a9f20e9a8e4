package s3

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"triplicate/internal/backup"
)

// failure is a request that did not succeed: the server's answer, or that there
// was none.
type failure struct {
	status  int // 0 without an answer
	code    string
	message string
	after   time.Duration // Retry-After
	date    time.Time     // the server's clock
	region  string        // where the bucket is instead
	err     error         // why there was no answer
	final   bool          // trying again is of no use
	local   bool          // of err: nothing was sent
	// lost: it, or a try before it, may have been carried out all the same.
	lost bool
}

// Error is for logs of tests only; wrap makes the text for people.
func (f *failure) Error() string {
	if f.err != nil {
		return f.err.Error()
	}
	return fmt.Sprintf("%d %s: %s", f.status, f.code, f.message)
}

// answered reads a failure from an answer.
func answered(resp *http.Response, body []byte) *failure {
	var doc struct {
		Code, Message, Region string
	}
	_ = xml.Unmarshal(body, &doc) // HEAD has none, proxies say HTML
	f := &failure{status: resp.StatusCode, code: doc.Code, message: doc.Message, region: doc.Region}
	f.headers(resp.Header)
	return f
}

func (f *failure) headers(h http.Header) {
	f.date, _ = http.ParseTime(h.Get("Date"))
	if r := h.Get("X-Amz-Bucket-Region"); r != "" {
		f.region = r
	}
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 {
		f.after = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil && !f.date.IsZero() {
		f.after = max(0, at.Sub(f.date))
	}
}

// failed reads a failure from what the SDK or net/http returned.
func failed(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var api smithy.APIError
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil && resp.HTTPStatusCode() != 0 { // without an answer the SDK makes one up
		f := &failure{status: resp.HTTPStatusCode()}
		f.headers(resp.Response.Header)
		if errors.As(err, &api) {
			f.code, f.message = api.ErrorCode(), api.ErrorMessage()
			if f.code == "UnknownError" {
				f.code, f.message = "", ""
			}
			return f
		}
		if f.status >= 300 {
			return f
		}
		return &failure{err: bare(err), lost: true} // the answer broke off
	}
	var send *smithyhttp.RequestSendError
	var broken *url.Error
	if !errors.As(err, &send) && !errors.As(err, &broken) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.As(err, &api) { // an error document in a 200
			return &failure{status: http.StatusInternalServerError, code: api.ErrorCode(), message: api.ErrorMessage()}
		}
		return &failure{err: err, final: true, local: true}
	}
	var cert *tls.CertificateVerificationError
	return &failure{err: bare(err), lost: true, final: errors.As(err, &cert)}
}

// bare takes the wrapping off that repeats the URL and the operation.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	var d *smithy.DeserializationError
	if errors.As(err, &d) && d.Err != nil {
		return d.Err
	}
	return err
}

// maxSkew is how far S3 lets a signature's time be off.
const maxSkew = 15 * time.Minute

// skewed says whether the answer is about our clock. A HEAD's answer has no code.
func (f *failure) skewed(now time.Time) bool {
	if f.code == "RequestTimeTooSkewed" {
		return true
	}
	off := f.date.Sub(now)
	return f.status == http.StatusForbidden && (f.code == "" || f.code == "Forbidden") && !f.date.IsZero() && (off > maxSkew || off < -maxSkew)
}

// meaning is what somebody may decide on.
func (f *failure) meaning() error {
	switch {
	case f.local && errors.Is(f.err, backup.ErrCredentials):
		return backup.ErrCredentials
	case f.local:
		return backup.ErrRefused
	case f.err != nil:
		return backup.ErrUnreachable
	}
	switch f.code {
	case "AccessDenied":
		return backup.ErrForbidden
	case "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchVersion":
		return backup.ErrNotFound
	case "PreconditionFailed":
		return backup.ErrExists
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "ExpiredTokenException",
		"XAdminUserNotFound": // versitygw's word for an unknown key, with a 404
		return backup.ErrCredentials
	case "RequestTimeTooSkewed":
		return backup.ErrClockSkew
	case "InvalidObjectState":
		return backup.ErrArchived
	case "BadDigest", "XAmzContentSHA256Mismatch":
		return backup.ErrDamaged
	case "SlowDown", "ServiceUnavailable", "GlacierExpeditedRetrievalNotAvailable", "RequestLimitExceeded", "Throttling":
		return backup.ErrThrottled
	case "RequestTimeout":
		return backup.ErrUnreachable
	}
	switch {
	case f.status == http.StatusForbidden:
		return backup.ErrForbidden
	case f.status == http.StatusNotFound:
		return backup.ErrNotFound
	case f.status == http.StatusPreconditionFailed:
		return backup.ErrExists
	case f.status == http.StatusServiceUnavailable, f.status == http.StatusTooManyRequests:
		return backup.ErrThrottled
	case f.status >= 500, f.status == http.StatusRequestTimeout:
		return backup.ErrUnreachable
	}
	return backup.ErrRefused
}

// passes says whether another try may succeed.
func (f *failure) passes() bool {
	switch {
	case f.err != nil:
		return !f.final
	case f.status == http.StatusInternalServerError && !errors.Is(f.meaning(), backup.ErrUnreachable) && !errors.Is(f.meaning(), backup.ErrThrottled):
		return false // an error in a 200, which the SDK turns into a 500
	case f.code == "GlacierExpeditedRetrievalNotAvailable":
		return false // for hours
	case f.code == "OperationAborted", f.code == "ConditionalRequestConflict":
		return true // somebody else is at this key just now
	}
	switch f.status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout, http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	}
	return f.code == "RequestTimeout" // 400: the body came too slowly
}

// wrap makes the error that callers see.
func (b *Bucket) wrap(what string, f *failure) error {
	meaning := f.meaning()
	if f.local && errors.Is(f.err, meaning) {
		return fmt.Errorf("%s: %w", what, f.err)
	}
	if f.skewed(b.clock.now()) {
		meaning = backup.ErrClockSkew
	}
	said := f.code
	switch {
	case f.err != nil:
		said = f.err.Error()
	case f.code == "":
		said = fmt.Sprintf("%d %s", f.status, http.StatusText(f.status))
	case errors.Is(meaning, backup.ErrClockSkew):
	case errors.Is(meaning, backup.ErrCredentials): // what else it says is about the key
	case f.message != "":
		said += ": " + strings.TrimRight(f.message, ".")
	}
	switch {
	case f.code == "NoSuchBucket":
		said = "bucket " + b.conf.Bucket
	case errors.Is(meaning, backup.ErrClockSkew) && !f.date.IsZero():
		said = fmt.Sprintf("off by %s", f.date.Sub(b.conf.Now()).Abs().Round(time.Second))
	case f.region != "" && f.region != b.conf.Region && (f.status/100 == 3 || f.status == http.StatusBadRequest):
		said = fmt.Sprintf("the bucket is in region %s, not %s", f.region, b.conf.Region)
	}
	return &refusal{text: fmt.Sprintf("%s: %s", what, clip(b.keys.scrub(said))), meaning: meaning, failure: f}
}

// refusal is a failure as callers see it.
type refusal struct {
	text    string
	meaning error
	failure *failure
}

// Error says what was asked, what the answer was and what that means.
func (r *refusal) Error() string { return r.text + ": " + r.meaning.Error() }

// Unwrap is one of package backup's errors.
func (r *refusal) Unwrap() error { return r.meaning }

// cause is the failure behind an error of this package, or an empty one.
func cause(err error) *failure {
	var r *refusal
	if errors.As(err, &r) {
		return r.failure
	}
	return &failure{}
}

// clip keeps what a server said to one short line.
func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return s
}
