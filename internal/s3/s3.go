// Package s3 is a client of one bucket of Amazon's S3 or another with its API. It
// knows nothing of Temporal, policies or manifests: it puts, lists, reads and thaws
// what it is told and turns what S3 says into the errors of package backup.
//
// Two paths lead to the server. Bodies (Put, PutPart) are signed with the SDK's
// signer and sent over one net/http transport with a checksum computed beforehand:
// a fifth of the CPU that the SDK's PutObject takes. Everything else goes through
// the SDK's client. Both share one clock, one set of credentials, one limit on
// requests at a time and one way of trying again; the SDK's own retryer is off,
// because its token bucket gives up on files while S3 asks to slow down
// (https://github.com/aws/aws-sdk-go-v2/issues/3413).
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"triplicate/internal/backup"
	"triplicate/internal/wait"
)

// Config says which bucket, and how to get at it.
type Config struct {
	Bucket string
	Region string
	// Endpoint is the URL of an S3 other than Amazon's, whose buckets are named in
	// the path. Over plain http, bodies are signed; over TLS that adds nothing.
	Endpoint string
	// CAFile is a PEM file of authorities to trust instead of the system's: for a
	// private endpoint.
	CAFile string
	// Credentials reads the access key; session is empty unless it is a temporary
	// one. It is called at most once a minute, and again when the key is refused.
	Credentials func() (keyID, secret, session string, err error)
	// Unencrypted leaves out the wish for SSE-S3 (AES256), which some other S3s
	// refuse without a key server.
	Unencrypted bool
	MaxConns    int           // requests at a time; 64 unless set
	Tries       int           // of one request; 10 unless set, and four times as many if asked to slow down
	Stall       time.Duration // without a byte going either way before a try is given up; 1 minute unless set
	// Now is the clock that requests are signed with; time.Now unless set.
	Now func() time.Time
	// Wait waits between tries, until ctx ends; a timer unless set.
	Wait func(ctx context.Context, d time.Duration) error
}

// Bucket is one bucket. Its methods may be called at the same time.
type Bucket struct {
	conf     Config
	base     url.URL // of the bucket
	plain    bool    // no TLS
	clock    *clock
	keys     *keys
	gate     *gate
	signer   *v4.Signer
	http     *http.Client
	client   *s3.Client
	requests atomic.Int64
}

// Open makes the client. It asks the server nothing and reads no credentials yet.
func Open(conf Config) (*Bucket, error) {
	if conf.Bucket == "" || conf.Region == "" || conf.Credentials == nil {
		return nil, errors.New("open bucket: bucket, region and credentials are required")
	}
	if conf.MaxConns <= 0 {
		conf.MaxConns = 64
	}
	if conf.Tries <= 0 {
		conf.Tries = 10
	}
	if conf.Stall <= 0 {
		conf.Stall = time.Minute
	}
	if conf.Now == nil {
		conf.Now = time.Now
	}
	if conf.Wait == nil {
		conf.Wait = wait.For
	}
	b := &Bucket{conf: conf, clock: &clock{real: conf.Now}, keys: &keys{read: conf.Credentials, now: conf.Now}, gate: newGate(conf.MaxConns)}
	b.signer = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // S3 alone does not escape twice
	transport, err := newTransport(conf)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", conf.Bucket, err)
	}
	b.http = &http.Client{
		Transport: &counter{transport, &b.requests},
		// A redirect is S3's way of naming another region; it must reach the caller.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if err := b.resolve(); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", conf.Bucket, err)
	}
	b.client = s3.New(b.options())
	return b, nil
}

// Close ends connections that nobody uses any more. The bucket stays usable.
func (b *Bucket) Close() { b.http.CloseIdleConnections() }

// Requests is how many requests were sent since the bucket was opened, those that
// failed included.
func (b *Bucket) Requests() int64 { return b.requests.Load() }

// resolve finds the bucket's URL as the SDK would.
func (b *Bucket) resolve() error {
	params := s3.EndpointParameters{Bucket: &b.conf.Bucket, Region: &b.conf.Region}
	if b.conf.Endpoint != "" {
		params.Endpoint, params.ForcePathStyle = &b.conf.Endpoint, aws.Bool(true)
	}
	endpoint, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), params)
	if err != nil {
		return err
	}
	b.base = endpoint.URI
	b.plain = b.base.Scheme == "http"
	return nil
}

func (b *Bucket) options() s3.Options {
	o := s3.Options{
		Region:       b.conf.Region,
		UsePathStyle: b.conf.Endpoint != "",
		HTTPClient:   b.http,
		HTTPSignerV4: &signer{b.signer, b.clock},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return b.keys.get()
		}),
		Retryer:                    aws.NopRetryer{},
		DisableClockSkewCorrection: true,
		// Checksums are ours to compute and to compare.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		AppID:                      "triplicate",
	}
	if b.conf.Endpoint != "" {
		o.BaseEndpoint = &b.conf.Endpoint
	}
	return o
}

// class is a storage class as S3 tells it: STANDARD goes without saying.
func class(told string) string {
	if told == "" {
		return "STANDARD"
	}
	return told
}

// checkKey refuses what would be a request on the bucket itself.
func checkKey(what, key string) error {
	if key == "" {
		return fmt.Errorf("%s: a key cannot be empty: %w", what, backup.ErrRefused)
	}
	return nil
}

// checkSpec refuses metadata that would not arrive as it is: S3 takes ASCII, and the
// signature takes spaces at the ends away.
func checkSpec(what string, spec backup.PutSpec) error {
	for name, value := range spec.Metadata {
		bad := func(r rune) bool { return r < ' ' || r > '~' }
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return bad(r) || r == ' ' || r == ':' }) ||
			strings.ContainsFunc(value, bad) || strings.TrimSpace(value) != value {
			return fmt.Errorf("%s: metadata %q must be printable ASCII: %w", what, name, backup.ErrRefused)
		}
	}
	return checkKey(what, spec.Key)
}
