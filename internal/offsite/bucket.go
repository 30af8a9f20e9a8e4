package offsite

import (
	"context"
	"io"

	"triplicate/internal/backup"
)

// Bucket is what the engine needs of S3; internal/s3 is it. Every call tries again
// by itself where that can help, and answers with the errors of internal/backup.
type Bucket interface {
	// Put puts an object in one piece, with its CRC-64/NVME. With IfAbsent and an
	// object there: backup.ErrExists.
	Put(ctx context.Context, spec backup.PutSpec, body []byte) (backup.Object, error)
	// StartUpload begins a multipart upload and returns its ID.
	StartUpload(ctx context.Context, spec backup.PutSpec) (id string, err error)
	// PutPart puts one part; putting it again replaces it.
	PutPart(ctx context.Context, key, id string, number int, body []byte) (backup.Part, error)
	// Parts lists the parts that arrived; backup.ErrNotFound if the upload was
	// completed or aborted.
	Parts(ctx context.Context, key, id string) ([]backup.Part, error)
	// CompleteUpload makes the object; crc64 is of the whole, in base64.
	CompleteUpload(ctx context.Context, spec backup.PutSpec, id string, parts []backup.Part, crc64 string) (backup.Object, error)
	// AbortUpload discards an upload; gone is success.
	AbortUpload(ctx context.Context, key, id string) error
	// Versions calls each with all versions of all objects below a prefix, by key,
	// newest first, until it returns an error, which is then returned.
	Versions(ctx context.Context, prefix string, each func(backup.Object) error) error
	// List calls each with the objects below a prefix, by key.
	List(ctx context.Context, prefix string, each func(backup.Object) error) error
	// Get opens one version (empty: the latest). backup.ErrArchived if it must be
	// thawed, backup.ErrNotFound if it is not there. The caller closes the body.
	Get(ctx context.Context, key, version string) (io.ReadCloser, backup.Object, error)
	// Head is what Get would open, with its restore state.
	Head(ctx context.Context, key, version string) (backup.Object, error)
	// Thaw asks for a restored copy for so many days; in progress or there already
	// is success.
	Thaw(ctx context.Context, key, version string, tier backup.Tier, days int) error
	// Requests is how many requests were sent since the bucket was opened.
	Requests() int64
}
