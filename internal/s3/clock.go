package s3

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// clock tells the server's time: ours, plus what a refusal said we are off by.
type clock struct {
	real func() time.Time
	off  atomic.Int64 // nanoseconds
}

func (c *clock) now() time.Time { return c.real().Add(c.skew()) }

func (c *clock) skew() time.Duration { return time.Duration(c.off.Load()) }

// correct takes the server's word for what time it is.
func (c *clock) correct(server time.Time) { c.off.Store(int64(server.Sub(c.real()))) }

// signer has the SDK's client sign with our clock instead of the system's.
type signer struct {
	*v4.Signer
	clock *clock
}

// SignHTTP signs r; at is not looked at.
func (s *signer) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, payload, service, region string,
	_ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, creds, r, payload, service, region, s.clock.now(), opts...)
}
