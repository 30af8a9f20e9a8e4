package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"triplicate/internal/backup"
)

// Finding is what one part of a bucket's configuration was found to be.
type Finding struct {
	// What was looked at: public access block, versioning, encryption, lifecycle, clock.
	What string
	// Unseen: the key may not look, or this S3 has no such thing.
	Unseen bool
	// Problem is what is wrong, or why it cannot be seen; empty: all is well.
	Problem string
	Fix     string // what to do about it
}

// Check looks at the bucket's configuration, for objects below prefix. What the key
// may not see is a finding, not an error; the errors are those of a bucket that
// cannot be looked at at all: backup.ErrUnreachable, ErrCredentials, ErrClockSkew,
// ErrThrottled, and ErrNotFound if there is no such bucket.
func (b *Bucket) Check(ctx context.Context, prefix string) ([]Finding, error) {
	looks := []struct {
		what string
		look func(context.Context, *Finding) error
	}{
		{"versioning", b.checkVersioning},
		{"public access block", b.checkPublicAccess},
		{"encryption", b.checkEncryption},
		{"lifecycle", func(ctx context.Context, f *Finding) error { return b.checkLifecycle(ctx, f, prefix) }},
	}
	var findings []Finding
	for _, l := range looks {
		f := Finding{What: l.what}
		err := b.try(ctx, "get "+l.what+" of "+b.conf.Bucket, func(ctx context.Context) error { return l.look(ctx, &f) })
		switch why := cause(err); {
		case err == nil:
		case errors.Is(err, backup.ErrForbidden):
			f.Unseen, f.Problem = true, "cannot be seen with this key"
		case why.status == http.StatusNotImplemented, why.status == http.StatusMethodNotAllowed:
			f.Unseen, f.Problem = true, "cannot be seen: this S3 does not have it"
		case errors.Is(err, backup.ErrNotFound) && why.code != "NoSuchBucket":
			f.Problem, f.Fix = "is not configured", fixes[l.what]
		default:
			return findings, err
		}
		findings = append(findings, f)
	}
	if off := b.clock.skew().Abs(); off > 0 {
		findings = append(findings, Finding{What: "clock", Problem: fmt.Sprintf("is off by %s", off.Round(time.Second)),
			Fix: "Set this machine's clock (timedatectl set-ntp true)."})
	}
	return findings, nil
}

// fixes are the calls of facts an operator makes once.
var fixes = map[string]string{
	"versioning":          "Enable it: an overwritten or deleted object can be had back only with it.",
	"public access block": "Set all four: BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets.",
	"encryption":          "Set AES256 (SSE-S3) as the bucket's default.",
	"lifecycle":           "Add a rule for each of data/, packs/ and streams/ below the prefix: transition to GLACIER after 0 days.",
}

func (b *Bucket) checkVersioning(ctx context.Context, f *Finding) error {
	out, err := b.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.conf.Bucket})
	if err == nil && out.Status != types.BucketVersioningStatusEnabled {
		f.Problem, f.Fix = "is not enabled", fixes[f.What]
	}
	return err
}

func (b *Bucket) checkPublicAccess(ctx context.Context, f *Finding) error {
	out, err := b.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &b.conf.Bucket})
	if err != nil {
		return err
	}
	var open []string
	if conf := out.PublicAccessBlockConfiguration; conf == nil {
		open = []string{"all four"}
	} else {
		for _, part := range []struct {
			name string
			set  *bool
		}{
			{"BlockPublicAcls", conf.BlockPublicAcls}, {"IgnorePublicAcls", conf.IgnorePublicAcls},
			{"BlockPublicPolicy", conf.BlockPublicPolicy}, {"RestrictPublicBuckets", conf.RestrictPublicBuckets},
		} {
			if !aws.ToBool(part.set) {
				open = append(open, part.name)
			}
		}
	}
	if len(open) > 0 {
		f.Problem, f.Fix = "lacks "+strings.Join(open, ", "), fixes[f.What]
	}
	return nil
}

func (b *Bucket) checkEncryption(ctx context.Context, f *Finding) error {
	out, err := b.client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &b.conf.Bucket})
	if err != nil {
		return err
	}
	conf := out.ServerSideEncryptionConfiguration
	if conf == nil || !slices.ContainsFunc(conf.Rules, func(r types.ServerSideEncryptionRule) bool {
		return r.ApplyServerSideEncryptionByDefault != nil && r.ApplyServerSideEncryptionByDefault.SSEAlgorithm != ""
	}) {
		f.Problem, f.Fix = "has no default", fixes[f.What]
	}
	return nil
}

func (b *Bucket) checkLifecycle(ctx context.Context, f *Finding, prefix string) error {
	out, err := b.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.conf.Bucket})
	if err != nil {
		return err
	}
	small := out.TransitionDefaultMinimumObjectSize == types.TransitionDefaultMinimumObjectSizeVariesByStorageClass
	f.Problem, f.Fix = judgeLifecycle(out.Rules, small, backup.ManifestsPrefix(prefix))
	return nil
}
