package s3test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// upload is a multipart upload in progress.
type upload struct {
	attributes
	ID        string
	Serial    int64
	Begun     time.Time
	Algorithm string
	SumType   string
	Parts     map[int]*part

	busy bool // being completed
}

type part struct {
	Serial   int64
	Size     int64
	ETag     string
	Sums     map[string]string
	Modified time.Time
}

func (p *part) blob() string { return fmt.Sprintf("%016x", p.Serial) }

func (s *Server) createUpload(c *call) error {
	attr, err := c.described()
	if err != nil {
		return err
	}
	u := &upload{attributes: attr, ID: rand.Text() + rand.Text(), Begun: c.now.UTC(), Parts: map[int]*part{},
		Algorithm: c.r.Header.Get("X-Amz-Checksum-Algorithm"), SumType: c.r.Header.Get("X-Amz-Checksum-Type")}
	switch {
	case u.Algorithm == "":
		u.Algorithm, u.SumType = "CRC64NVME", "FULL_OBJECT" // S3's own choice
	case u.Algorithm == "CRC64NVME" && u.SumType == "COMPOSITE", strings.HasPrefix(u.Algorithm, "SHA") && u.SumType == "FULL_OBJECT":
		return &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "The checksum type cannot be used with this algorithm."}
	case !slices.ContainsFunc(algorithms, func(a algorithm) bool { return a.name == u.Algorithm }):
		return &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Checksum algorithm provided is unsupported."}
	case u.SumType == "" && u.Algorithm == "CRC64NVME":
		u.SumType = "FULL_OBJECT"
	case u.SumType == "":
		u.SumType = "COMPOSITE"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(c)
	if err != nil {
		return err
	}
	u.Serial = s.next()
	if err := s.save(u, "uploads", b.Name, u.ID); err != nil {
		return err
	}
	b.uploads[u.ID] = u
	h := c.w.Header()
	h.Set("X-Amz-Server-Side-Encryption", u.SSE)
	h.Set("X-Amz-Checksum-Algorithm", u.Algorithm)
	h.Set("X-Amz-Checksum-Type", u.SumType)
	c.xml(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: b.Name, Key: c.key, UploadID: u.ID})
	return nil
}

// upload is the one that a request is about. s.mu must be held.
func (s *Server) upload(c *call) (*bucket, *upload, error) {
	b, err := s.find(c)
	if err != nil {
		return nil, nil, err
	}
	u := b.uploads[c.query.Get("uploadId")]
	if u == nil || u.Key != c.key {
		return nil, nil, noSuchUpload()
	}
	return b, u, nil
}

func (s *Server) uploadPart(c *call) error {
	number, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || number < 1 || number > 10_000 {
		return invalid("Part number must be an integer between 1 and 10000, inclusive")
	}
	s.mu.Lock()
	_, u, err := s.upload(c)
	if err == nil && slices.ContainsFunc(algorithms, func(a algorithm) bool { return a.name != u.Algorithm && c.r.Header.Get(a.header) != "" }) {
		err = &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Checksum Type mismatch occurred, expected checksum Type: " + u.Algorithm}
	}
	p := &part{Serial: s.next(), Modified: c.now.UTC()}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var got received
	err = s.blobs.write(p.blob(), func(w io.Writer) (err error) {
		got, err = c.receive(w)
		return err
	})
	if err != nil {
		return err
	}
	p.Size, p.ETag, p.Sums = got.size, hex.EncodeToString(got.md5), got.sums

	s.mu.Lock()
	b, u, err := s.upload(c) // again: it may have been completed meanwhile
	var old *part
	if err == nil {
		old = u.Parts[number]
		u.Parts[number] = p
		err = s.save(u, "uploads", b.Name, u.ID)
	}
	s.mu.Unlock()
	if err != nil {
		_ = s.blobs.remove(p.blob())
		return err
	}
	if old != nil {
		_ = s.blobs.remove(old.blob())
	}
	h := c.w.Header()
	h.Set("ETag", `"`+p.ETag+`"`)
	h.Set("X-Amz-Server-Side-Encryption", u.SSE)
	for _, a := range algorithms {
		if sum := p.Sums[a.name]; sum != "" {
			h.Set(a.header, sum)
		}
	}
	c.reply(http.StatusOK, "", nil)
	return nil
}

func (s *Server) abortUpload(c *call) error {
	s.mu.Lock()
	b, u, err := s.upload(c)
	if err == nil {
		err = s.forget(b, u)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	c.reply(http.StatusNoContent, "", nil)
	return nil
}

// forget removes an upload and its parts. s.mu must be held.
func (s *Server) forget(b *bucket, u *upload) error {
	delete(b.uploads, u.ID)
	err := s.unsave("uploads", b.Name, u.ID)
	for _, p := range u.Parts {
		_ = s.blobs.remove(p.blob())
	}
	return err
}

func (s *Server) listParts(c *call) error {
	p, err := s.page(c, "max-parts")
	if err != nil {
		return err
	}
	after, err := strconv.Atoi("0" + c.query.Get("part-number-marker"))
	if err != nil {
		return invalid("part-number-marker")
	}
	type row struct {
		PartNumber        int
		LastModified      string
		ETag              string
		Size              int64
		ChecksumCRC64NVME string `xml:",omitempty"`
		ChecksumCRC32     string `xml:",omitempty"`
		ChecksumSHA256    string `xml:",omitempty"`
	}
	reply := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		StorageClass         string
		ChecksumAlgorithm    string
		ChecksumType         string
		Part                 []row
	}{Bucket: c.bucketName, Key: c.key, UploadID: c.query.Get("uploadId"), PartNumberMarker: after, MaxParts: p.size}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, u, err := s.upload(c)
	if err != nil {
		return err
	}
	reply.StorageClass, reply.ChecksumAlgorithm, reply.ChecksumType = u.Class, u.Algorithm, u.SumType
	for _, n := range slices.Sorted(maps.Keys(u.Parts)) {
		if n <= after {
			continue
		}
		if len(reply.Part) == p.size {
			reply.IsTruncated, reply.NextPartNumberMarker = true, reply.Part[p.size-1].PartNumber
			break
		}
		x := u.Parts[n]
		reply.Part = append(reply.Part, row{n, x.Modified.Format(xmlTime), `"` + x.ETag + `"`, x.Size, x.Sums["CRC64NVME"], x.Sums["CRC32"], x.Sums["SHA256"]})
	}
	c.xml(http.StatusOK, reply)
	return nil
}
