package s3_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

const allFour = `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>` +
	`<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`

func rule(id, prefix, rest string) string {
	return fmt.Sprintf(`<Rule><ID>%s</ID><Status>Enabled</Status><Filter><Prefix>%s</Prefix></Filter>%s</Rule>`, id, prefix, rest)
}

func lifecycle(rules ...string) string {
	doc := "<LifecycleConfiguration>"
	for _, r := range rules {
		doc += r
	}
	return doc + "</LifecycleConfiguration>"
}

const (
	atOnce  = `<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>`
	hygiene = `<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>` +
		`<NoncurrentVersionExpiration><NoncurrentDays>90</NoncurrentDays></NoncurrentVersionExpiration>`
)

// right are the rules of a bucket that is as it should be.
func right() []string {
	return []string{rule("d", "smith/data/", atOnce), rule("p", "smith/packs/", atOnce), rule("s", "smith/streams/", atOnce), rule("all", "", hygiene)}
}

func TestCheck(t *testing.T) {
	type finding struct {
		What, Problem string
		Unseen        bool
	}
	fine := []finding{{"versioning", "", false}, {"public access block", "", false}, {"encryption", "", false}, {"lifecycle", "", false}}
	but := func(f finding) []finding {
		var all []finding
		for _, x := range fine {
			if x.What == f.What {
				x = f
			}
			all = append(all, x)
		}
		return all
	}
	varies := func(t *testing.T, b *scene, rules ...string) {
		check(t, b.server.Configure("smith", "lifecycle", lifecycle(rules...), "varies_by_storage_class"), nil)
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, b *scene)
		want   []finding
	}{
		"all as it should be": {func(*testing.T, *scene) {}, fine},
		"versions are not kept": {func(t *testing.T, b *scene) {
			check(t, b.server.Configure("smith", "versioning", `<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>`), nil)
		}, but(finding{"versioning", "is not enabled", false})},
		"half open": {func(t *testing.T, b *scene) {
			check(t, b.server.Configure("smith", "publicAccessBlock", `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`), nil)
		}, but(finding{"public access block", "lacks IgnorePublicAcls, BlockPublicPolicy", false})},
		"small objects are left out": {func(t *testing.T, b *scene) {
			check(t, b.server.Configure("smith", "lifecycle", lifecycle(right()...)), nil)
		}, but(finding{"lifecycle", "leaves objects below 128 KiB out", false})},
		"manifests are archived, by a rule for everything": {func(t *testing.T, b *scene) { varies(t, b, rule("all", "", atOnce+hygiene)) },
			but(finding{"lifecycle", `rule "all" archives manifests`, false})},
		"manifests are archived, in a month": {func(t *testing.T, b *scene) {
			varies(t, b, append(right(), rule("old", "smith/manifests/", `<Transition><Days>30</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>`))...)
		}, but(finding{"lifecycle", `rule "old" archives manifests`, false})},
		"another prefix": {func(t *testing.T, b *scene) { varies(t, b, rule("d", "data/", atOnce)) },
			but(finding{"lifecycle", "archives nothing at once below smith/data/, smith/packs/, smith/streams/", false})},
		"only large ones": {func(t *testing.T, b *scene) {
			varies(t, b, append(right()[1:], `<Rule><ID>d</ID><Status>Enabled</Status><Filter><And><Prefix>smith/data/</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>`+atOnce+`</Rule>`)...)
		}, but(finding{"lifecycle", "archives nothing at once below smith/data/", false})},
		"a rule that is off": {func(t *testing.T, b *scene) {
			varies(t, b, append(right()[1:], `<Rule><ID>d</ID><Status>Disabled</Status><Filter><Prefix>smith/data/</Prefix></Filter>`+atOnce+`</Rule>`)...)
		}, but(finding{"lifecycle", "archives nothing at once below smith/data/", false})},
		"backups expire": {func(t *testing.T, b *scene) {
			varies(t, b, append(right(), rule("tidy", "smith/", `<Expiration><Days>365</Days></Expiration>`))...)
		}, but(finding{"lifecycle", `rule "tidy" deletes what is current below "smith/"`, false})},
		"delete markers without versions expire": {func(t *testing.T, b *scene) {
			varies(t, b, append(right(), rule("markers", "", `<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>`))...)
		}, fine},
		"parts stay for good": {func(t *testing.T, b *scene) { varies(t, b, right()[:3]...) },
			but(finding{"lifecycle", "never aborts incomplete multipart uploads", false})},
		"a key that may not look": {func(_ *testing.T, b *scene) { b.server.SetKeys(s3test.Uploader(keyID, secret, "", "")) },
			[]finding{{"versioning", "cannot be seen with this key", true}, {"public access block", "cannot be seen with this key", true},
				{"encryption", "cannot be seen with this key", true}, {"lifecycle", "cannot be seen with this key", true}}},
		"an S3 without": {func(_ *testing.T, b *scene) {
			b.server.Script(s3test.Fault{Op: "GetPublicAccessBlock", Status: 501, Code: "NotImplemented"})
		}, but(finding{"public access block", "cannot be seen: this S3 does not have it", true})},
		"a clock that is off": {func(_ *testing.T, b *scene) { b.server.Script(s3test.Fault{Skew: 20 * time.Minute}) },
			append(but(finding{}), finding{"clock", "is off by 20m0s", false})},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			check(t, errors.Join(b.server.Configure("smith", "publicAccessBlock", allFour),
				b.server.Configure("smith", "encryption", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`)), nil)
			varies(t, b, right()...)
			test.change(t, b)
			found, err := b.Check(t.Context(), "smith")
			check(t, err, nil)
			var got []finding
			for _, f := range found {
				got = append(got, finding{f.What, f.Problem, f.Unseen})
				if (f.Problem != "" && !f.Unseen) != (f.Fix != "") {
					t.Errorf("%s %s: fix %q", f.What, f.Problem, f.Fix)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckOfAFreshBucket(t *testing.T) {
	b := open(t)
	found, err := b.Check(t.Context(), "")
	check(t, err, nil)
	for _, f := range found[1:] {
		if f.Problem != "is not configured" || f.Fix == "" {
			t.Errorf("%+v", f)
		}
	}
	gone := open(t, func(_ *s3test.Options, c *s3.Config) { c.Bucket = "another" })
	_, err = gone.Check(t.Context(), "")
	check(t, err, backup.ErrNotFound)
}

// Setting a bucket up as the guide says, with the SDK, leaves nothing to find.
func TestCheckOfABucketThatTheSDKConfigured(t *testing.T) {
	b := open(t)
	ctx, bucket := t.Context(), aws.String("smith")
	b.clock.Add(time.Since(b.clock.Now())) // the SDK signs with the system's clock
	client := sdk.New(sdk.Options{Region: b.conf.Region, BaseEndpoint: &b.conf.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	_, err := client.PutPublicAccessBlock(ctx, &sdk.PutPublicAccessBlockInput{Bucket: bucket, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true)}})
	check(t, err, nil)
	_, err = client.PutBucketOwnershipControls(ctx, &sdk.PutBucketOwnershipControlsInput{Bucket: bucket, OwnershipControls: &types.OwnershipControls{
		Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}}})
	check(t, err, nil)
	_, err = client.PutBucketEncryption(ctx, &sdk.PutBucketEncryptionInput{Bucket: bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}}}}})
	check(t, err, nil)
	_, err = client.PutBucketVersioning(ctx, &sdk.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	check(t, err, nil)
	var rules []types.LifecycleRule
	for _, p := range []string{"data/", "packs/", "streams/"} {
		rules = append(rules, types.LifecycleRule{ID: aws.String(p), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("smith/" + p)},
			Transitions: []types.Transition{{Days: aws.Int32(0), StorageClass: types.TransitionStorageClassGlacier}}})
	}
	rules = append(rules, types.LifecycleRule{ID: aws.String("hygiene"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(7)},
		NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(90)},
		Expiration:                     &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}})
	_, err = client.PutBucketLifecycleConfiguration(ctx, &sdk.PutBucketLifecycleConfigurationInput{Bucket: bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules},
		TransitionDefaultMinimumObjectSize: types.TransitionDefaultMinimumObjectSizeVariesByStorageClass})
	check(t, err, nil)
	_, err = client.PutBucketPolicy(ctx, &sdk.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(`{"Version":"2012-10-17","Statement":[]}`)})
	check(t, err, nil)

	found, err := b.Check(ctx, "smith")
	check(t, err, nil)
	for _, f := range found {
		if f.Problem != "" {
			t.Errorf("%+v", f)
		}
	}
}
