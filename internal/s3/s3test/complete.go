package s3test

import (
	"crypto/md5" // what an ETag is
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// completion is the body of a CompleteMultipartUpload.
type completion struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []struct {
		PartNumber        int
		ETag              string
		ChecksumCRC64NVME string
	}
}

func (s *Server) completeUpload(c *call) error {
	body, err := c.completionBody()
	if err != nil {
		return err
	}
	var ask completion
	if err := decode(body, &ask); err != nil {
		return err
	}
	if c.fault.ErrorIn200 != "" {
		c.xml(http.StatusOK, struct {
			XMLName       xml.Name `xml:"Error"`
			Code, Message string
		}{Code: c.fault.ErrorIn200, Message: "We encountered an internal error. Please try again."})
		return nil
	}
	s.mu.Lock()
	b, u, err := s.upload(c)
	if err == nil {
		err = c.precondition(b)
	}
	var parts []*part
	if err == nil {
		parts, err = s.choose(c, u, ask)
	}
	if err == nil {
		u.busy = true
	}
	serial := s.next()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		u.busy = false
	}()
	v := &version{attributes: u.attributes, ID: newID(serial), Serial: serial, SumType: u.SumType, Modified: u.Begun, Blob: fmt.Sprintf("%016x", serial)}
	if err := s.assemble(c, v, u, parts); err != nil {
		return err
	}
	if err := s.publish(c, v); err != nil {
		return err
	}
	s.mu.Lock()
	err = s.forget(b, u)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, a := range algorithms {
		c.w.Header().Del(a.header) // here they stand in the body
	}
	etag := `"` + v.ETag + `"`
	if c.fault.WrongETag {
		etag = `"00000000000000000000000000000000-1"`
		v.Sums = nil
	}
	c.w.Header().Del("ETag")
	c.xml(http.StatusOK, struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location          string
		Bucket            string
		Key               string
		ETag              string
		ChecksumCRC64NVME string `xml:",omitempty"`
		ChecksumCRC32     string `xml:",omitempty"`
		ChecksumSHA256    string `xml:",omitempty"`
		ChecksumType      string
	}{Location: "/" + c.bucketName + "/" + c.key, Bucket: c.bucketName, Key: c.key, ETag: etag,
		ChecksumCRC64NVME: v.Sums["CRC64NVME"], ChecksumCRC32: v.Sums["CRC32"], ChecksumSHA256: v.Sums["SHA256"], ChecksumType: v.SumType})
	return nil
}

// completionBody reads the list of parts. The checksum headers of this request are
// not its body's but the whole object's.
func (c *call) completionBody() ([]byte, error) {
	whole := http.Header{}
	for _, a := range algorithms {
		if v := c.r.Header.Get(a.header); v != "" {
			whole.Set(a.header, v)
			c.r.Header.Del(a.header)
		}
	}
	b, err := c.document()
	for name := range whole {
		c.r.Header.Set(name, whole.Get(name))
	}
	return b, err
}

// choose finds the parts that an upload is to be completed with. s.mu must be held.
func (s *Server) choose(c *call, u *upload, ask completion) ([]*part, error) {
	if len(ask.Part) == 0 {
		return nil, malformed()
	}
	if u.busy {
		return nil, &Error{Status: http.StatusConflict, Code: "OperationAborted", Message: "A conflicting conditional operation is currently in progress against this resource. Try again."}
	}
	var parts []*part
	for i, p := range ask.Part {
		have := u.Parts[p.PartNumber]
		switch {
		case i > 0 && p.PartNumber <= ask.Part[i-1].PartNumber:
			return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidPartOrder", Message: "The list of parts was not in ascending order."}
		case have == nil, strings.Trim(p.ETag, `"`) != have.ETag:
			return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidPart", Message: "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
		case p.ChecksumCRC64NVME != "" && p.ChecksumCRC64NVME != have.Sums["CRC64NVME"]:
			return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidPart", Message: "The checksum of a part does not match."}
		case i < len(ask.Part)-1 && have.Size < s.opt.MinPart:
			return nil, &Error{Status: http.StatusBadRequest, Code: "EntityTooSmall", Message: "Your proposed upload is smaller than the minimum allowed size"}
		}
		parts = append(parts, have)
	}
	if want := c.r.Header.Get("X-Amz-Mp-Object-Size"); want != "" {
		n, err := strconv.ParseInt(want, 10, 64)
		if err != nil || n != total(parts) {
			return nil, &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "The provided x-amz-mp-object-size does not match the object's size."}
		}
	}
	return parts, nil
}

func total(parts []*part) int64 {
	var n int64
	for _, p := range parts {
		n += p.Size
	}
	return n
}

// assemble writes the object's body and finds its ETag and checksum.
func (s *Server) assemble(c *call, v *version, u *upload, parts []*part) error {
	var header string
	var whole, composite hash.Hash
	for _, a := range algorithms {
		if a.name == u.Algorithm {
			header, whole, composite = a.header, a.make(), a.make()
		}
	}
	etags := md5.New()
	err := s.blobs.write(v.Blob, func(w io.Writer) error {
		for _, p := range parts {
			f, err := s.blobs.open(p.blob())
			if err != nil {
				return noSuchUpload() // completed or aborted by another request
			}
			_, err = io.Copy(io.MultiWriter(w, whole), f)
			_ = f.Close()
			if err != nil {
				return err
			}
			etag, _ := hex.DecodeString(p.ETag)
			etags.Write(etag)
			sum, _ := base64.StdEncoding.DecodeString(p.Sums[u.Algorithm])
			composite.Write(sum)
		}
		sum := base64.StdEncoding.EncodeToString(whole.Sum(nil))
		if u.SumType == "COMPOSITE" {
			sum = fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(composite.Sum(nil)), len(parts))
		}
		if want := c.r.Header.Get(header); want != "" && want != sum {
			return badDigest(u.Algorithm)
		}
		v.Sums = map[string]string{u.Algorithm: sum}
		return nil
	})
	v.Size, v.ETag = total(parts), fmt.Sprintf("%x-%d", etags.Sum(nil), len(parts))
	return err
}
