// Package s3test is an S3 with Glacier semantics for tests, drills and demos: one
// http.Handler, in memory or in a directory that outlives the process. It is strict
// where Amazon's is (signatures, checksums, storage classes, allow-lists of keys),
// restores archived objects on an injected clock, counts requests, and fails its
// n-th one on demand.
//
// It is a subset: what it does not know, it answers with NotImplemented. The
// contract in this package says what clients may rely on and can be run against
// another S3.
package s3test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says what kind of S3 it is to be. The zero value is an empty one in
// memory, on the real clock, that nobody has a key for.
type Options struct {
	Region string // us-east-1 unless set
	Keys   []Key
	Now    func() time.Time // time.Now unless set
	// Dir keeps everything in a directory, from where another Server with the same
	// Dir goes on. In memory unless set.
	Dir string
	// ThawFactor multiplies how long a restore takes: 5 h in Bulk, 3 h in Standard,
	// 1 minute in Expedited. 1 unless set.
	ThawFactor float64
	PageSize   int   // rows of a listing's page at most; 1000 unless set
	MinPart    int64 // bytes of every part but the last, at least; 5 MiB unless set; -1: none
	// Ready is called with the server's URL once Serve or ServeTLS listens.
	Ready func(url string)
}

// Server is the S3. Its methods may be called while it serves.
type Server struct {
	opt   Options
	blobs blobs

	mu      sync.Mutex
	keys    map[string]Key
	buckets map[string]*bucket
	counts  map[string]int
	used    map[string]bool // key, action and prefix of what was allowed
	faults  []*fault
	serial  int64 // of the last version, upload or request
}

// New makes an S3, from what Dir has if that is set.
func New(opt Options) (*Server, error) {
	if opt.Region == "" {
		opt.Region = "us-east-1"
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.ThawFactor == 0 {
		opt.ThawFactor = 1
	}
	if opt.PageSize == 0 {
		opt.PageSize = 1000
	}
	if opt.MinPart == 0 {
		opt.MinPart = 5 << 20
	}
	s := &Server{opt: opt, blobs: newMemory(), buckets: map[string]*bucket{}, counts: map[string]int{}, used: map[string]bool{}}
	s.SetKeys(opt.Keys...)
	if opt.Dir == "" {
		return s, nil
	}
	s.blobs = directory(opt.Dir)
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("s3test: load %s: %w", opt.Dir, err)
	}
	return s, nil
}

// Requests is how many requests of an operation (PutObject, ListObjectsV2 ...) were
// received, refused and failed ones included; of all operations if op is empty.
func (s *Server) Requests(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op != "" {
		return s.counts[op]
	}
	total := 0
	for _, n := range s.counts {
		total += n
	}
	return total
}

// Serve serves plain HTTP on addr until ctx ends, which is no error.
func (s *Server) Serve(ctx context.Context, addr string) error {
	return s.serve(ctx, addr, "http", nil)
}

// ServeTLS is Serve over TLS with a certificate and key from PEM files. If there are
// none, it makes them, for the loopback addresses; trust certFile as a CA.
func (s *Server) ServeTLS(ctx context.Context, addr, certFile, keyFile string) error {
	if err := ensureCertificate(certFile, keyFile); err != nil {
		return fmt.Errorf("s3test: certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("s3test: certificate: %w", err)
	}
	return s.serve(ctx, addr, "https", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
}

func (s *Server) serve(ctx context.Context, addr, scheme string, conf *tls.Config) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("s3test: %w", err)
	}
	if conf != nil {
		ln = tls.NewListener(ln, conf) // HTTP/1.1 only, as Amazon's
	}
	if s.opt.Ready != nil {
		s.opt.Ready(scheme + "://" + ln.Addr().String())
	}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); ctx.Err() == nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("s3test: %w", err)
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c := &call{w: w, r: r, bucketName: bucket, key: key, query: r.URL.Query(), fault: new(fault)}
	c.handle, c.op, c.action = s.route(c)

	s.mu.Lock()
	s.counts[c.op]++
	c.id = fmt.Sprintf("%016X", s.next())
	if f := s.nextFault(c.op); f != nil {
		c.fault = f
	}
	s.mu.Unlock()
	c.now = s.opt.Now().Add(c.fault.Skew)

	w.Header().Set("Server", "s3test")
	w.Header().Set("X-Amz-Request-Id", c.id)
	w.Header().Set("Date", c.now.UTC().Format(http.TimeFormat))
	c.fault.before(c)
	if err := s.answer(c); err != nil {
		c.fail(err)
	}
}

// answer carries a request out; what it returns was not answered yet.
func (s *Server) answer(c *call) error {
	if c.fault.Status != 0 {
		if c.fault.RetryAfter != "" {
			c.w.Header().Set("Retry-After", c.fault.RetryAfter)
		}
		return &Error{Status: c.fault.Status, Code: c.fault.Code, Message: "Please reduce your request rate."}
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	if c.handle == nil {
		return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "A header or query you provided implies functionality that is not implemented."}
	}
	if err := s.allowed(c, c.action, c.key); err != nil {
		return err
	}
	return c.handle(c)
}

// next is a serial number. s.mu must be held.
func (s *Server) next() int64 {
	s.serial++
	return s.serial
}
