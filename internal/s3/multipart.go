package s3

import (
	"context"
	"crypto/md5" // what an ETag is
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"triplicate/internal/backup"
)

// StartUpload begins a multipart upload and returns its ID. If an answer is lost,
// an upload without parts stays behind, for the bucket's lifecycle to abort.
func (b *Bucket) StartUpload(ctx context.Context, spec backup.PutSpec) (string, error) {
	what := "start upload of " + spec.Key
	if err := checkSpec(what, spec); err != nil {
		return "", err
	}
	in := &s3.CreateMultipartUploadInput{
		Bucket: &b.conf.Bucket, Key: &spec.Key,
		StorageClass: types.StorageClass(class(spec.Class)), Metadata: spec.Metadata, ContentType: aws.String(contentType(spec)),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject,
	}
	if !b.conf.Unencrypted {
		in.ServerSideEncryption = sse
	}
	var id string
	err := b.try(ctx, what, func(ctx context.Context) error {
		out, err := b.client.CreateMultipartUpload(ctx, in)
		if err == nil {
			id = aws.ToString(out.UploadId)
		}
		return err
	})
	return id, err
}

// Parts lists the parts that arrived, by number; backup.ErrNotFound if the upload
// was completed or aborted.
func (b *Bucket) Parts(ctx context.Context, key, id string) ([]backup.Part, error) {
	var parts []backup.Part
	in := &s3.ListPartsInput{Bucket: &b.conf.Bucket, Key: &key, UploadId: &id}
	for {
		var out *s3.ListPartsOutput
		err := b.try(ctx, "list parts of "+key, func(ctx context.Context) (err error) {
			out, err = b.client.ListParts(ctx, in)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, p := range out.Parts {
			parts = append(parts, backup.Part{Number: int(aws.ToInt32(p.PartNumber)), ETag: unquote(aws.ToString(p.ETag)),
				Size: aws.ToInt64(p.Size), CRC64: aws.ToString(p.ChecksumCRC64NVME)})
		}
		next := aws.ToString(out.NextPartNumberMarker)
		if !aws.ToBool(out.IsTruncated) {
			return parts, nil
		}
		if next == "" || next == aws.ToString(in.PartNumberMarker) {
			return nil, fmt.Errorf("list parts of %s: the server's pages do not go on: %w", key, backup.ErrRefused)
		}
		in.PartNumberMarker = &next
	}
}

// CompleteUpload makes the object of an upload's parts; crc64 is the CRC-64/NVME of
// the whole body in base64, and S3 compares it. If an answer was lost, it looks
// whether the object is there already, which takes s3:ListBucketVersions, without
// which the error is backup.ErrUnclear.
func (b *Bucket) CompleteUpload(ctx context.Context, spec backup.PutSpec, id string, parts []backup.Part, crc64 string) (backup.Object, error) {
	what := "complete upload of " + spec.Key
	obj := backup.Object{Key: spec.Key, Size: spec.Size, CRC64: crc64, Class: class(spec.Class), Metadata: spec.Metadata, Latest: true}
	etag, err := combine(parts)
	if err != nil {
		return backup.Object{}, fmt.Errorf("%s: %w: %w", what, err, backup.ErrRefused)
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &b.conf.Bucket, Key: &spec.Key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{},
		ChecksumCRC64NVME: &crc64, ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &spec.Size,
	}
	if spec.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	for _, p := range parts {
		part := types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: aws.String(p.ETag)} // at most 10,000
		if p.CRC64 != "" {
			part.ChecksumCRC64NVME = aws.String(p.CRC64)
		}
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, part)
	}
	err = b.try(ctx, what, func(ctx context.Context) error {
		out, err := b.client.CompleteMultipartUpload(ctx, in)
		if err != nil {
			return err
		}
		obj.VersionID, obj.ETag = aws.ToString(out.VersionId), unquote(aws.ToString(out.ETag))
		told := aws.ToString(out.ChecksumCRC64NVME)
		if told != "" && told != crc64 || told == "" && obj.ETag != etag {
			// Final, for the upload is no more.
			return &failure{status: http.StatusOK, final: true, code: "BadDigest", message: "the server has ETag " + obj.ETag + " and CRC-64 " + told}
		}
		return nil
	})
	gone := errors.Is(err, backup.ErrNotFound) || errors.Is(err, backup.ErrExists)
	if gone && cause(err).lost && cause(err).code != "NoSuchBucket" {
		return b.ours(ctx, what, obj, etag, err)
	}
	if err != nil {
		return backup.Object{}, err
	}
	return obj, nil
}

// combine is the ETag that S3 makes of the parts' ETags.
func combine(parts []backup.Part) (string, error) {
	h := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if err != nil {
			return "", fmt.Errorf("part %d has no ETag of S3's: %w", p.Number, err)
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}

// AbortUpload discards an upload and its parts; gone is success.
func (b *Bucket) AbortUpload(ctx context.Context, key, id string) error {
	err := b.try(ctx, "abort upload of "+key, func(ctx context.Context) error {
		_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.conf.Bucket, Key: &key, UploadId: &id})
		return err
	})
	if cause(err).code == "NoSuchUpload" {
		return nil
	}
	return err
}
