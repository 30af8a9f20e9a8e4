package activities

import (
	"context"

	"triplicate/internal/backup"
)

// BucketFact is what one part of a bucket's configuration was found to be.
type BucketFact struct {
	ID FindingID
	// What was looked at, in words.
	What string
	// Problem is what is wrong, or why it cannot be seen; empty: all is well.
	Problem string
	Fix     string
	Unseen  bool // the key may not look, or this S3 has no such thing
}

// bucket checks one offsite target: whether its key gets in, whether manifests can
// be listed, and how the bucket is configured. That the key may write is not tried:
// check changes nothing.
func (a *Checks) bucket(ctx context.Context, o backup.OffsitePolicy) []Finding {
	var f findings
	section := "offsite " + o.Name
	facts, err := a.Bucket(ctx, o.Name)
	if f.notAsked(FindBucket, err, section) {
		return f
	}
	if err != nil {
		f.fail(FindBucket, remedy(err, section), "%s: bucket %s: %v", section, o.Bucket, err)
		return f
	}
	vault, err := a.Offsite.Vault(o.Name)
	if err != nil {
		f.fail(FindBucket, remedy(err, section), "%s: %v", section, err)
		return f
	}
	if points, err := vault.Points(ctx); err != nil {
		f.fail(FindBucket, remedy(err, section), "%s: bucket %s: %v", section, o.Bucket, err)
	} else {
		f.ok(FindBucket, "%s: bucket %s lists the manifests of %d datasets", section, o.Bucket, len(points))
	}
	for _, x := range facts {
		switch {
		case x.Problem == "":
			f.ok(x.ID, "%s: %s of bucket %s is as it should be", section, x.What, o.Bucket)
		case x.Unseen:
			f.warn(x.ID, "let the key look (s3:GetBucketVersioning, GetBucketPublicAccessBlock, GetEncryptionConfiguration, GetLifecycleConfiguration), or look yourself",
				"%s: %s of bucket %s %s", section, x.What, o.Bucket, x.Problem)
		default:
			f.warn(x.ID, x.Fix, "%s: %s of bucket %s %s", section, x.What, o.Bucket, x.Problem)
		}
	}
	return f
}
