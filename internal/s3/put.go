package s3

import (
	"bytes"
	"context"
	"crypto/md5" // what an ETag is
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

const (
	checksumHeader = "X-Amz-Checksum-Crc64nvme"
	sseHeader      = "X-Amz-Server-Side-Encryption"
	sse            = "AES256"
)

// CRC64 is the CRC-64/NVME of a body in base64, as S3 writes it.
func CRC64(body []byte) string { return encodeCRC(crc64nvme.Checksum(body)) }

func encodeCRC(sum uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
}

// Put puts an object in one piece, with its CRC-64/NVME, and returns the version
// that came of it. If an answer is lost and the request is sent again, a bucket
// with versioning may hold the body twice; it never holds less than one whole body.
// With IfAbsent and an object there it fails with backup.ErrExists; whether that
// object is the one whose answer was lost is looked up, which takes
// s3:ListBucketVersions, without which the error is backup.ErrUnclear.
func (b *Bucket) Put(ctx context.Context, spec backup.PutSpec, body []byte) (backup.Object, error) {
	what := "put " + spec.Key
	if err := checkSpec(what, spec); err != nil {
		return backup.Object{}, err
	}
	if spec.Size != int64(len(body)) {
		return backup.Object{}, fmt.Errorf("%s: a body of %d bytes for an object of %d: %w", what, len(body), spec.Size, backup.ErrDamaged)
	}
	obj := backup.Object{Key: spec.Key, Size: spec.Size, CRC64: CRC64(body), Class: class(spec.Class), Metadata: spec.Metadata, Latest: true}
	header := b.header(spec)
	header[checksumHeader] = []string{obj.CRC64}
	if spec.IfAbsent {
		header["If-None-Match"] = []string{"*"}
	}
	err := b.try(ctx, what, func(ctx context.Context) error {
		reply, err := b.send(ctx, spec.Key, "", header, body)
		if err != nil {
			return err
		}
		obj.VersionID, obj.ETag = reply.Get("X-Amz-Version-Id"), unquote(reply.Get("ETag"))
		return compare(reply, obj.ETag, obj.CRC64, body)
	})
	if f := cause(err); spec.IfAbsent && f.lost && errors.Is(err, backup.ErrExists) {
		sum := md5.Sum(body)
		return b.ours(ctx, what, obj, hex.EncodeToString(sum[:]), err)
	}
	if err != nil {
		return backup.Object{}, err
	}
	return obj, nil
}

// PutPart puts one part of a multipart upload; putting it again replaces it.
// backup.ErrNotFound if the upload was completed or aborted.
func (b *Bucket) PutPart(ctx context.Context, key, id string, number int, body []byte) (backup.Part, error) {
	what := fmt.Sprintf("put part %d of %s", number, key)
	if err := checkKey(what, key); err != nil {
		return backup.Part{}, err
	}
	part := backup.Part{Number: number, Size: int64(len(body)), CRC64: CRC64(body)}
	header := http.Header{checksumHeader: {part.CRC64}}
	query := "partNumber=" + strconv.Itoa(number) + "&uploadId=" + url.QueryEscape(id)
	err := b.try(ctx, what, func(ctx context.Context) error {
		reply, err := b.send(ctx, key, query, header, body)
		if err != nil {
			return err
		}
		part.ETag = unquote(reply.Get("ETag"))
		return compare(reply, part.ETag, part.CRC64, body)
	})
	if err != nil {
		return backup.Part{}, err
	}
	return part, nil
}

// header is what a spec says about the object to be.
func (b *Bucket) header(spec backup.PutSpec) http.Header {
	h := make(http.Header, 6+len(spec.Metadata))
	h["Content-Type"] = []string{contentType(spec)}
	h["X-Amz-Storage-Class"] = []string{class(spec.Class)}
	if !b.conf.Unencrypted {
		h[sseHeader] = []string{sse}
	}
	for name, value := range spec.Metadata {
		h.Set("X-Amz-Meta-"+name, value)
	}
	return h
}

func contentType(spec backup.PutSpec) string {
	if spec.Type == "" {
		return "application/octet-stream"
	}
	return spec.Type
}

const (
	unsigned = "UNSIGNED-PAYLOAD"
	maxReply = 64 << 10 // bytes of an answer to a PUT
)

// send sends one PUT and returns the headers of its success.
func (b *Bucket) send(ctx context.Context, key, query string, header http.Header, body []byte) (http.Header, error) {
	target := b.base
	target.Path += "/" + key
	target.RawPath = escapePath(target.Path)
	target.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL, req.Host = &target, target.Host
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header["User-Agent"] = []string{"triplicate"}
	payload := unsigned
	if b.plain {
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	req.Header["X-Amz-Content-Sha256"] = []string{payload}
	creds, err := b.keys.get()
	if err != nil {
		return nil, err
	}
	if err := b.signer.SignHTTP(ctx, creds, req, payload, "s3", b.conf.Region, b.clock.now()); err != nil {
		return nil, err
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode != http.StatusOK {
		return nil, answered(resp, reply)
	}
	if err != nil {
		return nil, &failure{err: err, lost: true}
	}
	return resp.Header, nil
}

// compare sees whether the server has what we sent, by what it says of it: there is
// no second request, and an uploader's key could not make one. The ETag is looked at
// only where no checksum came back, because it need not be an MD5.
func compare(reply http.Header, etag, crc string, body []byte) error {
	if told := reply.Get(checksumHeader); told != "" {
		if told != crc {
			return &failure{status: http.StatusOK, code: "BadDigest", message: "the server has CRC-64 " + told + ", we sent " + crc}
		}
		return nil
	}
	if len(etag) != 2*md5.Size || strings.HasPrefix(reply.Get(sseHeader), "aws:") {
		return nil
	}
	if sum := md5.Sum(body); etag != hex.EncodeToString(sum[:]) {
		return &failure{status: http.StatusOK, code: "BadDigest", message: "the server has ETag " + etag + ", we sent another body"}
	}
	return nil
}

// ours looks whether the latest version of a key is what a request made whose answer
// was lost. If not, err is the answer.
func (b *Bucket) ours(ctx context.Context, what string, obj backup.Object, etag string, err error) (backup.Object, error) {
	found := false
	look := b.Versions(ctx, obj.Key, func(v backup.Object) error {
		if v.Key == obj.Key && v.Latest && !v.Marker && v.ETag == etag && v.Size == obj.Size {
			obj.VersionID, obj.ETag, obj.Modified = v.VersionID, v.ETag, v.Modified
			found = true
		}
		if v.Key != obj.Key || v.Latest {
			return errEnough
		}
		return nil
	})
	switch {
	case found:
		return obj, nil
	case look != nil && !errors.Is(look, errEnough):
		return backup.Object{}, fmt.Errorf("%s: %w (%w)", what, backup.ErrUnclear, look)
	}
	return backup.Object{}, err
}

var errEnough = errors.New("enough")

func unquote(etag string) string { return strings.Trim(etag, `"`) }

// escapePath is Amazon's URI encoding of a path: all but unreserved characters and
// slashes. url.URL's own leaves more as it is, and the signature would not match.
func escapePath(path string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(path)+8)
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || c == '/' {
			out = append(out, c)
			continue
		}
		out = append(out, '%', digits[c>>4], digits[c&15])
	}
	return string(out)
}
