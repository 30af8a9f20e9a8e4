package s3test

import (
	"bufio"
	"bytes"
	"crypto/md5"  // what an ETag is
	"crypto/sha1" // one of S3's checksums
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"
)

// algorithm is one of S3's checksums.
type algorithm struct {
	name, header string
	make         func() hash.Hash
}

var algorithms = []algorithm{
	{"CRC64NVME", "X-Amz-Checksum-Crc64nvme", func() hash.Hash { return crc64nvme.New() }},
	{"CRC32", "X-Amz-Checksum-Crc32", func() hash.Hash { return crc32.NewIEEE() }},
	{"CRC32C", "X-Amz-Checksum-Crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	{"SHA1", "X-Amz-Checksum-Sha1", sha1.New},
	{"SHA256", "X-Amz-Checksum-Sha256", sha256.New},
}

// received is a body that arrived and is what its sender said.
type received struct {
	size int64
	md5  []byte
	// sums holds the checksums that the sender gave, in base64; CRC64NVME, which S3
	// computes by itself, if there was none.
	sums map[string]string
}

// receive copies a request's body to w and checks it against all the request says.
func (c *call) receive(w io.Writer) (received, error) {
	body, size, err := c.decoded()
	if err != nil {
		return received{}, err
	}
	md, payload := md5.New(), sha256.New()
	sums := map[string]hash.Hash{}
	all := []io.Writer{w, md}
	declared := c.r.Header.Get("X-Amz-Content-Sha256")
	if len(declared) == 64 {
		all = append(all, payload)
	}
	for _, a := range algorithms {
		if c.r.Header.Get(a.header) != "" || strings.EqualFold(c.r.Header.Get("X-Amz-Trailer"), a.header) {
			sums[a.name] = a.make()
		}
	}
	if len(sums) == 0 {
		sums["CRC64NVME"] = crc64nvme.New()
	}
	for _, h := range sums {
		all = append(all, h)
	}
	n, err := io.Copy(io.MultiWriter(all...), body)
	var api *Error
	if errors.As(err, &api) {
		return received{}, err
	}
	if err != nil || n != size {
		return received{}, &Error{Status: http.StatusBadRequest, Code: "IncompleteBody", Message: "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	}
	if len(declared) == 64 && declared != hex.EncodeToString(payload.Sum(nil)) {
		return received{}, &Error{Status: http.StatusBadRequest, Code: "XAmzContentSHA256Mismatch", Message: "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	got := received{size: n, md5: md.Sum(nil), sums: map[string]string{}}
	if want := c.r.Header.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(got.md5) {
		return received{}, badDigest("Content-MD5")
	}
	for _, a := range algorithms {
		if h := sums[a.name]; h != nil {
			sum := base64.StdEncoding.EncodeToString(h.Sum(nil))
			if want := c.r.Header.Get(a.header); want != "" && want != sum {
				return received{}, badDigest(a.name)
			}
			got.sums[a.name] = sum
		}
	}
	return got, nil
}

// document reads a body that is a document and not an object's content.
func (c *call) document() ([]byte, error) {
	if c.r.ContentLength > 2<<20 {
		return nil, &Error{Status: http.StatusBadRequest, Code: "MaxMessageLengthExceeded", Message: "Your request was too big."}
	}
	var b bytes.Buffer
	_, err := c.receive(&b)
	return b.Bytes(), err
}

// decoded is the request's body and its length without aws-chunked.
func (c *call) decoded() (io.Reader, int64, error) {
	switch declared := c.r.Header.Get("X-Amz-Content-Sha256"); {
	case declared == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		size, err := strconv.ParseInt(c.r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil {
			return nil, 0, missingLength()
		}
		return &chunked{r: bufio.NewReader(c.r.Body), header: c.r.Header}, size, nil
	case declared == "UNSIGNED-PAYLOAD", len(declared) == 64:
		if c.r.ContentLength < 0 {
			return nil, 0, missingLength()
		}
		return c.r.Body, c.r.ContentLength, nil
	}
	return nil, 0, &Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "Chunks with signatures are not implemented."}
}

func missingLength() error {
	return &Error{Status: http.StatusLengthRequired, Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header."}
}

// chunked reads aws-chunked content and puts its trailer among the headers.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
type chunked struct {
	r      *bufio.Reader
	header http.Header
	left   int64
	ended  bool
}

// Read reads from the current chunk.
func (c *chunked) Read(b []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
		if c.ended {
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if c.left == 0 && err == nil {
		_, err = c.r.Discard(2)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *chunked) next() error {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	c.left, err = strconv.ParseInt(strings.TrimSpace(line), 16, 64)
	if err != nil || c.left < 0 {
		return &Error{Status: http.StatusBadRequest, Code: "InvalidChunkSizeError", Message: "A chunk's size is malformed."}
	}
	if c.left > 0 {
		return nil
	}
	c.ended = true
	for {
		line, err := c.r.ReadString('\n')
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			c.header.Set(name, strings.TrimSpace(value))
		}
		if err != nil || !ok {
			return nil
		}
	}
}
