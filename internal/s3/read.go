package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"triplicate/internal/backup"
)

// Get opens one version of an object (empty: the latest). It compares nothing: the
// object's CRC-64 comes along, and a body that ends early or stands still fails with
// backup.ErrUnreachable. backup.ErrArchived if it must be thawed first,
// backup.ErrNotFound if it is not there. The caller closes the body.
func (b *Bucket) Get(ctx context.Context, key, version string) (io.ReadCloser, backup.Object, error) {
	in := &s3.GetObjectInput{Bucket: &b.conf.Bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	var out *s3.GetObjectOutput
	err := b.try(ctx, "get "+key, func(ctx context.Context) (err error) {
		// Not in.ChecksumMode, with which the SDK would compute the checksum too.
		out, err = b.client.GetObject(ctx, in, s3.WithAPIOptions(smithyhttp.AddHeaderValue("X-Amz-Checksum-Mode", "ENABLED")))
		return err
	})
	if err != nil {
		return nil, backup.Object{}, gone(err)
	}
	obj := backup.Object{Key: key, VersionID: versionOf(out.VersionId, version), Size: aws.ToInt64(out.ContentLength), ETag: unquote(aws.ToString(out.ETag)),
		CRC64: fullObject(out.ChecksumCRC64NVME), Class: class(string(out.StorageClass)), Modified: aws.ToTime(out.LastModified),
		Metadata: out.Metadata, Latest: version == "", Restore: parseRestore(aws.ToString(out.Restore))}
	return &download{out.Body, key, b.conf.Stall}, obj, nil
}

// Head is what Get would open, with its restore state; it works on archived objects.
func (b *Bucket) Head(ctx context.Context, key, version string) (backup.Object, error) {
	in := &s3.HeadObjectInput{Bucket: &b.conf.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled}
	if version != "" {
		in.VersionId = &version
	}
	var out *s3.HeadObjectOutput
	err := b.try(ctx, "head "+key, func(ctx context.Context) (err error) {
		out, err = b.client.HeadObject(ctx, in)
		return err
	})
	if err != nil {
		return backup.Object{}, gone(err)
	}
	return backup.Object{Key: key, VersionID: versionOf(out.VersionId, version), Size: aws.ToInt64(out.ContentLength), ETag: unquote(aws.ToString(out.ETag)),
		CRC64: fullObject(out.ChecksumCRC64NVME), Class: class(string(out.StorageClass)), Modified: aws.ToTime(out.LastModified),
		Metadata: out.Metadata, Latest: version == "", Restore: parseRestore(aws.ToString(out.Restore))}, nil
}

// Thaw asks for a restored copy of an archived object for so many days. In progress
// or there already is success (the latter keeps it for so many days from now), and
// so is an object that is not archived. backup.ErrThrottled if Expedited has no
// capacity left.
func (b *Bucket) Thaw(ctx context.Context, key, version string, tier backup.Tier, days int) error {
	in := &s3.RestoreObjectInput{Bucket: &b.conf.Bucket, Key: &key, RestoreRequest: &types.RestoreRequest{
		Days: aws.Int32(int32(days)), GlacierJobParameters: &types.GlacierJobParameters{Tier: types.Tier(tier)}}} // days of a copy
	if version != "" {
		in.VersionId = &version
	}
	err := b.try(ctx, "thaw "+key, func(ctx context.Context) error {
		_, err := b.client.RestoreObject(ctx, in)
		return err
	})
	switch cause(err).code {
	case "RestoreAlreadyInProgress", "InvalidObjectState":
		return nil
	}
	return gone(err)
}

// gone makes "not found" of the answer about a version that is a delete marker.
func gone(err error) error {
	var r *refusal
	if errors.As(err, &r) && r.failure.status == http.StatusMethodNotAllowed {
		return &refusal{text: r.text, meaning: backup.ErrNotFound, failure: r.failure}
	}
	return err
}

func versionOf(told *string, asked string) string {
	if told == nil {
		return asked
	}
	return *told
}

// fullObject drops the checksum of checksums that a COMPOSITE upload has.
func fullObject(sum *string) string {
	if s := aws.ToString(sum); len(s) == 12 {
		return s
	}
	return ""
}

var (
	ongoing = regexp.MustCompile(`ongoing-request="true"`)
	expires = regexp.MustCompile(`expiry-date="([^"]+)"`)
)

// parseRestore reads x-amz-restore:
// ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT".
func parseRestore(header string) backup.Restore {
	r := backup.Restore{Ongoing: ongoing.MatchString(header)}
	if m := expires.FindStringSubmatch(header); m != nil && !r.Ongoing {
		r.Until, _ = http.ParseTime(m[1])
	}
	return r
}
