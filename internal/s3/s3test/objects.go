package s3test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

var classes = []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"}

// find is the bucket that a request is about. s.mu must be held.
func (s *Server) find(c *call) (*bucket, error) {
	b := s.buckets[c.bucketName]
	if b == nil {
		return nil, &Error{Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist"}
	}
	return b, nil
}

// described reads what a request says about the object to be.
func (c *call) described() (attributes, error) {
	a := attributes{Key: c.key, Class: c.r.Header.Get("X-Amz-Storage-Class"), SSE: c.r.Header.Get("X-Amz-Server-Side-Encryption"),
		Type: c.r.Header.Get("Content-Type"), Metadata: map[string]string{}}
	if a.Class == "" {
		a.Class = "STANDARD"
	}
	if a.SSE == "" {
		a.SSE = "AES256" // S3's default since 2023
	}
	if a.Type == "" {
		a.Type = "binary/octet-stream"
	}
	total := 0
	for name, values := range c.r.Header {
		if meta, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			a.Metadata[meta] = strings.Join(values, ",")
			total += len(meta) + len(a.Metadata[meta])
		}
	}
	switch {
	case !slices.Contains(classes, a.Class):
		return a, &Error{Status: http.StatusBadRequest, Code: "InvalidStorageClass", Message: "The storage class you specified is not valid"}
	case a.SSE != "AES256" && a.SSE != "aws:kms":
		return a, invalid("The encryption method specified is not supported")
	case total > 2048:
		return a, &Error{Status: http.StatusBadRequest, Code: "MetadataTooLarge", Message: "Your metadata headers exceed the maximum allowed metadata size"}
	case len(c.key) > 1024:
		return a, &Error{Status: http.StatusBadRequest, Code: "KeyTooLongError", Message: "Your key is too long"}
	case !utf8.ValidString(c.key):
		return a, &Error{Status: http.StatusBadRequest, Code: "InvalidURI", Message: "Couldn't parse the specified URI."}
	}
	return a, nil
}

// precondition checks If-None-Match. s.mu must be held.
func (c *call) precondition(b *bucket) error {
	switch c.r.Header.Get("If-None-Match") {
	case "":
		return nil
	case "*":
		if b.latest(c.key) != nil {
			return &Error{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold"}
		}
		return nil
	}
	return &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "If-None-Match takes * here"}
}

func (s *Server) putObject(c *call) error {
	attr, err := c.described()
	if err != nil {
		return err
	}
	s.mu.Lock()
	b, err := s.find(c)
	if err == nil {
		err = c.precondition(b)
	}
	serial := s.next()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	v := &version{attributes: attr, ID: newID(serial), Serial: serial, SumType: "FULL_OBJECT", Modified: c.now.UTC(), Blob: fmt.Sprintf("%016x", serial)}
	var got received
	err = s.blobs.write(v.Blob, func(w io.Writer) (err error) {
		got, err = c.receive(w)
		return err
	})
	if err != nil {
		return err
	}
	v.Size, v.ETag, v.Sums = got.size, hex.EncodeToString(got.md5), got.sums
	if err := s.publish(c, v); err != nil {
		return err
	}
	c.reply(http.StatusOK, "", nil)
	return nil
}

// publish adds a version whose blob is written, and sets the reply's headers.
func (s *Server) publish(c *call, v *version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err == nil {
		err = c.precondition(b) // again: somebody may have been faster
	}
	if err == nil {
		err = s.add(b, v)
	}
	if err != nil {
		_ = s.blobs.remove(v.Blob)
		return err
	}
	h := c.w.Header()
	h.Set("ETag", `"`+v.ETag+`"`)
	h.Set("X-Amz-Server-Side-Encryption", v.SSE)
	if b.versioned() {
		h.Set("X-Amz-Version-Id", v.ID)
	}
	v.setSums(h)
	return nil
}

func (v *version) setSums(h http.Header) {
	for _, a := range algorithms {
		if sum := v.Sums[a.name]; sum != "" {
			h.Set(a.header, sum)
			h.Set("X-Amz-Checksum-Type", v.SumType)
		}
	}
}

// newID is a version's ID: unlike any other, and no order can be read from it.
func newID(serial int64) string {
	return fmt.Sprintf("%s.%x", rand.Text(), serial)
}

// lookup finds the version that a GET or a restore is about. s.mu must be held.
func (s *Server) lookup(c *call) (*version, error) {
	b, err := s.find(c)
	if err != nil {
		return nil, err
	}
	versions := b.objects[c.key]
	if id := c.query.Get("versionId"); id != "" {
		for _, v := range versions {
			if v.ID == id && !v.Marker {
				return v, nil
			}
			if v.ID == id {
				c.w.Header().Set("X-Amz-Delete-Marker", "true")
				return nil, &Error{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource."}
			}
		}
		return nil, &Error{Status: http.StatusNotFound, Code: "NoSuchVersion", Message: "The specified version does not exist."}
	}
	if v := b.latest(c.key); v != nil {
		return v, nil
	}
	if len(versions) > 0 {
		c.w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	if !c.access.may("ListBucket", c.bucketName, "") {
		// Whoever may not list is not told what is not there.
		return nil, &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "User is not authorized to perform: s3:ListBucket"}
	}
	return nil, noSuchKey()
}

func (s *Server) getObject(c *call) error {
	s.mu.Lock()
	found, err := s.lookup(c)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	v, b := *found, s.buckets[c.bucketName]
	restore, readable := v.thawed(c.now)
	var content io.ReadSeekCloser
	if c.op == "GetObject" && readable {
		content, err = s.blobs.open(v.Blob)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if c.op == "GetObject" && !readable {
		return &Error{Status: http.StatusForbidden, Code: "InvalidObjectState", Message: "The operation is not valid for the object's storage class"}
	}
	h := c.w.Header()
	h.Set("ETag", `"`+v.ETag+`"`)
	h.Set("Content-Type", v.Type)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Last-Modified", v.Modified.Format(http.TimeFormat))
	h.Set("X-Amz-Server-Side-Encryption", v.SSE)
	for name, value := range v.Metadata {
		h.Set("X-Amz-Meta-"+name, value)
	}
	if v.Class != "STANDARD" {
		h.Set("X-Amz-Storage-Class", v.Class)
	}
	if restore != "" {
		h.Set("X-Amz-Restore", restore)
	}
	if b.versioned() {
		h.Set("X-Amz-Version-Id", v.ID)
	}
	if strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") && c.r.Header.Get("Range") == "" {
		v.setSums(h)
	}
	c.fault.after(c)
	if c.op == "HeadObject" {
		h.Set("Content-Length", fmt.Sprint(v.Size))
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	defer func() { _ = content.Close() }()
	c.send(content, v)
	return nil
}

// send sends an object's body, or the range of it that was asked for.
func (c *call) send(content io.ReadSeeker, v version) {
	w := c.w
	if c.fault.Reset > 0 {
		w = &cut{ResponseWriter: c.w, n: c.fault.Reset}
	}
	http.ServeContent(w, c.r, "", v.Modified, content)
	if c.fault.Reset > 0 {
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
}
