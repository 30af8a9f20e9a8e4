package backup

import (
	"errors"
	"time"
)

// What an S3 client can report that somebody decides on, besides ErrNotFound,
// ErrUnreachable, ErrCredentials, ErrForbidden and ErrRefused.
var (
	// ErrArchived: the object is in an archive class and no restored copy of it
	// is there; ask for one (Thaw) first.
	ErrArchived = errors.New("object is archived")
	// ErrClockSkew: the server refuses signatures because the clocks differ by
	// more than 15 minutes.
	ErrClockSkew = errors.New("the clock is wrong")
	// ErrDamaged: the bytes that were sent or received do not have their checksum.
	ErrDamaged = errors.New("checksum does not fit")
	// ErrThrottled: the server asked us to slow down for longer than a step waits.
	ErrThrottled = errors.New("the server asks to slow down")
)

// Object is one version of an object in a bucket.
type Object struct {
	Key       string `json:"key"`
	VersionID string `json:"versionId,omitempty"`
	Size      int64  `json:"size"` // bytes
	// ETag is without quotes: the MD5 of a body that was put in one piece, or
	// "<md5 of the parts' md5s>-<parts>".
	ETag string `json:"etag,omitempty"`
	// CRC64 is the CRC-64/NVME of the whole body in base64, where the server told it.
	CRC64    string            `json:"crc64,omitempty"`
	Class    string            `json:"class,omitempty"` // storage class
	Modified time.Time         `json:"modified,omitzero"`
	Metadata map[string]string `json:"metadata,omitempty"` // user metadata, keys in lower case
	Latest   bool              `json:"latest,omitempty"`   // the version that a plain GET finds
	Marker   bool              `json:"marker,omitempty"`   // a delete marker
	Restore  Restore           `json:"restore,omitzero"`
}

// Restore is how the restored copy of an archived object stands.
type Restore struct {
	Ongoing bool      `json:"ongoing,omitempty"`
	Until   time.Time `json:"until,omitzero"` // when the restored copy goes away again; zero: none is there
}

// PutSpec says what an object is to be. The body comes beside it.
type PutSpec struct {
	Key      string
	Size     int64             // bytes of the body
	Class    string            // storage class, STANDARD unless set
	Metadata map[string]string // user metadata
	Type     string            // content type; application/octet-stream unless set
	IfAbsent bool              // fail with ErrExists if there is an object of that key
}

// Part is one part of a multipart upload.
type Part struct {
	Number int    `json:"number"` // from 1
	ETag   string `json:"etag"`
	Size   int64  `json:"size"`
	CRC64  string `json:"crc64"` // of the part, base64
}

// PartSize is the size of every part but the last: 16 MiB costs the least CPU, and
// grows where a file would need more than S3's 10,000 parts.
func PartSize(size int64) int64 {
	const mib = 1 << 20
	part := int64(16 * mib)
	for size/part >= 9_500 {
		part *= 2
	}
	return part
}

// MultipartFrom is the size, in bytes, from which a file is uploaded in parts: below
// it, trying again from the start costs less than the bookkeeping.
const MultipartFrom = 64 << 20

// Tier is how quickly an archived object is to be restored, and at what price.
type Tier string

// The tiers of Glacier Flexible Retrieval: 5-12 hours, 3-5 hours, minutes.
const (
	Bulk      Tier = "Bulk"
	Standard  Tier = "Standard"
	Expedited Tier = "Expedited"
)
