package offsite

import (
	"crypto/md5" // S3 gives the MD5 of a body as its ETag
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/minio/crc64nvme"
)

// sum64 is a CRC-64 as S3 writes it: base64 of the eight bytes, big end first.
func sum64(h hash.Hash64) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

func crcOf(body []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(body)))
}

func md5Of(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

// etag computes the ETag of content that was put in parts of a size: the MD5 of the
// parts' MD5s, and their number.
type etag struct {
	sums  []byte
	parts int
}

func (e *etag) add(part []byte) {
	sum := md5.Sum(part)
	e.sums, e.parts = append(e.sums, sum[:]...), e.parts+1
}

func (e *etag) String() string { return md5Of(e.sums) + "-" + strconv.Itoa(e.parts) }
