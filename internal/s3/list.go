package s3

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"triplicate/internal/backup"
)

// Keys are asked for in URL encoding: XML 1.0 cannot hold all the bytes that a file
// name may have, and the listing would break off at the first such key.
const encoding = types.EncodingTypeUrl

// List calls each with the objects below a prefix, by key, until it returns an
// error, which is then returned. What changes meanwhile may or may not be seen.
func (b *Bucket) List(ctx context.Context, prefix string, each func(backup.Object) error) error {
	what := "list " + b.conf.Bucket + "/" + prefix
	in := &s3.ListObjectsV2Input{Bucket: &b.conf.Bucket, Prefix: &prefix, EncodingType: encoding}
	for {
		var out *s3.ListObjectsV2Output
		err := b.try(ctx, what, func(ctx context.Context) (err error) {
			out, err = b.client.ListObjectsV2(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range out.Contents {
			key, err := decode(out.EncodingType, o.Key)
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			err = each(backup.Object{Key: key, Size: aws.ToInt64(o.Size), ETag: unquote(aws.ToString(o.ETag)), Class: class(string(o.StorageClass)),
				Modified: aws.ToTime(o.LastModified), Latest: true})
			if err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		next := aws.ToString(out.NextContinuationToken)
		if next == "" || next == aws.ToString(in.ContinuationToken) {
			return fmt.Errorf("%s: the server's pages do not go on: %w", what, backup.ErrRefused)
		}
		in.ContinuationToken = &next
	}
}

// Versions calls each with all versions of all objects below a prefix, delete
// markers among them, by key, newest first, until it returns an error, which is
// then returned.
func (b *Bucket) Versions(ctx context.Context, prefix string, each func(backup.Object) error) error {
	what := "list versions of " + b.conf.Bucket + "/" + prefix
	in := &s3.ListObjectVersionsInput{Bucket: &b.conf.Bucket, Prefix: &prefix, EncodingType: encoding}
	for {
		var out *s3.ListObjectVersionsOutput
		err := b.try(ctx, what, func(ctx context.Context) (err error) {
			out, err = b.client.ListObjectVersions(ctx, in)
			return err
		})
		if err != nil {
			return err
		}
		page, err := versions(out)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		for _, o := range page {
			if err := each(o); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		key, err := decode(out.EncodingType, out.NextKeyMarker)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if key == aws.ToString(in.KeyMarker) && aws.ToString(out.NextVersionIdMarker) == aws.ToString(in.VersionIdMarker) {
			return fmt.Errorf("%s: the server's pages do not go on: %w", what, backup.ErrRefused)
		}
		in.KeyMarker, in.VersionIdMarker = &key, out.NextVersionIdMarker
	}
}

// versions puts a page's versions and delete markers, which the SDK tells apart,
// back in one order. Each of the two is in the server's order already, which is not
// that of the times: an object of parts has the time its upload began. So between a
// version and a marker of one key, neither the latest, the order is a guess.
func versions(out *s3.ListObjectVersionsOutput) ([]backup.Object, error) {
	var objects, markers, all []backup.Object
	for _, v := range out.Versions {
		key, err := decode(out.EncodingType, v.Key)
		if err != nil {
			return nil, err
		}
		objects = append(objects, backup.Object{Key: key, VersionID: aws.ToString(v.VersionId), Size: aws.ToInt64(v.Size), ETag: unquote(aws.ToString(v.ETag)),
			Class: class(string(v.StorageClass)), Modified: aws.ToTime(v.LastModified), Latest: aws.ToBool(v.IsLatest)})
	}
	for _, m := range out.DeleteMarkers {
		key, err := decode(out.EncodingType, m.Key)
		if err != nil {
			return nil, err
		}
		markers = append(markers, backup.Object{Key: key, VersionID: aws.ToString(m.VersionId), Modified: aws.ToTime(m.LastModified), Latest: aws.ToBool(m.IsLatest), Marker: true})
	}
	for len(objects) > 0 && len(markers) > 0 {
		if before(markers[0], objects[0]) {
			all, markers = append(all, markers[0]), markers[1:]
		} else {
			all, objects = append(all, objects[0]), objects[1:]
		}
	}
	return append(append(all, objects...), markers...), nil
}

func before(x, y backup.Object) bool {
	switch {
	case x.Key != y.Key:
		return x.Key < y.Key
	case x.Latest != y.Latest:
		return x.Latest
	}
	return x.Modified.After(y.Modified)
}

// decode undoes the URL encoding of a key, which not every S3 applies.
func decode(applied types.EncodingType, key *string) (string, error) {
	if applied != encoding {
		return aws.ToString(key), nil
	}
	plain, err := url.QueryUnescape(aws.ToString(key))
	if err != nil {
		return "", fmt.Errorf("key %q: %w: %w", aws.ToString(key), err, backup.ErrRefused)
	}
	return plain, nil
}
