package s3test

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Fault makes requests go wrong. One Fault may combine several ways.
type Fault struct {
	Op    string // which operation; any unless set
	N     int    // the n-th request of it from now on; all unless set
	Every int    // or every n-th

	Status     int    // answered at once with this status and Code
	Code       string // SlowDown unless set
	RetryAfter string // the header's value
	// Reset ends the connection before anything is carried out: after so many bytes
	// of the request's body, or of the reply's body for a GetObject; -1: at once.
	Reset int64
	// DropReply carries the request out and ends the connection instead of answering.
	DropReply bool
	// WrongETag answers with an ETag and checksums that are not the object's.
	WrongETag bool
	// ErrorIn200 answers a CompleteMultipartUpload with 200 and an error of this
	// code, and makes no object, as S3 may.
	ErrorIn200 string
	// Skew is how far the server's clock is off.
	Skew time.Duration
	// Delay is waited before anything else, or until the client is gone.
	Delay time.Duration
}

type fault struct {
	Fault
	seen int
}

// Script adds faults. Of those that fit a request the first one is taken.
func (s *Server) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Status != 0 && f.Code == "" {
			f.Code = "SlowDown"
		}
		s.faults = append(s.faults, &fault{Fault: f})
	}
}

// ClearScript removes all faults.
func (s *Server) ClearScript() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault counts a request of op and finds its fault. s.mu must be held.
func (s *Server) nextFault(op string) *fault {
	var found *fault
	for _, f := range s.faults {
		if f.Op != "" && f.Op != op {
			continue
		}
		f.seen++
		hit := f.N == 0 && f.Every == 0 || f.N > 0 && f.seen == f.N || f.Every > 0 && f.seen%f.Every == 0
		if hit && found == nil {
			found = f
		}
	}
	return found
}

// before is what goes wrong before a request is looked at.
func (f *fault) before(c *call) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Reset == 0 || c.op == "GetObject" && f.Reset > 0 {
		return
	}
	_, _ = io.CopyN(io.Discard, c.r.Body, f.Reset)
	panic(http.ErrAbortHandler) // net/http ends the connection without a word
}

// after is what goes wrong after a request was carried out.
func (f *fault) after(c *call) {
	if f.DropReply {
		panic(http.ErrAbortHandler)
	}
	if !f.WrongETag {
		return
	}
	h := c.w.Header()
	if h.Get("ETag") != "" {
		h.Set("ETag", `"00000000000000000000000000000000"`)
	}
	for _, a := range algorithms {
		h.Del(a.header)
	}
}

var errCut = errors.New("cut")

// cut lets n bytes of a reply through and then ends the connection.
type cut struct {
	http.ResponseWriter
	n int64
}

// Write fails once n bytes are through.
func (c *cut) Write(b []byte) (int, error) {
	if int64(len(b)) <= c.n {
		c.n -= int64(len(b))
		return c.ResponseWriter.Write(b)
	}
	n, _ := c.ResponseWriter.Write(b[:c.n])
	c.n = 0
	return n, errCut
}
