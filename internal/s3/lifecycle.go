package s3

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// archived are the classes from which nothing can be read at once.
var archived = map[types.TransitionStorageClass]bool{types.TransitionStorageClassGlacier: true, types.TransitionStorageClassDeepArchive: true}

// judgeLifecycle says what is wrong with a bucket's rules. Content that strayed into
// STANDARD must be archived at once, small objects too, which takes another default
// than Amazon's; manifests must stay readable; and nothing current may expire.
func judgeLifecycle(rules []types.LifecycleRule, small bool, manifests string) (problem, fix string) {
	root := strings.TrimSuffix(manifests, "manifests/")
	missing := map[string]bool{root + "data/": true, root + "packs/": true, root + "streams/": true}
	var aborts bool
	for _, r := range rules {
		if r.Status != types.ExpirationStatusEnabled {
			continue
		}
		on, whole := scope(r)
		name := aws.ToString(r.ID)
		touches := strings.HasPrefix(on, root) || strings.HasPrefix(root, on)
		if e := r.Expiration; e != nil && touches && (aws.ToInt32(e.Days) > 0 || e.Date != nil) {
			return fmt.Sprintf("rule %q deletes what is current below %q", name, on), "Take its Expiration away: Triplicate deletes nothing in the bucket, and nobody else should."
		}
		if r.AbortIncompleteMultipartUpload != nil && whole && strings.HasPrefix(root, on) {
			aborts = true
		}
		for _, t := range r.Transitions {
			if !archived[t.StorageClass] {
				continue
			}
			if strings.HasPrefix(manifests, on) || strings.HasPrefix(on, manifests) {
				return fmt.Sprintf("rule %q archives manifests", name), "Name data/, packs/ and streams/ instead: a manifest in an archive must be thawed before anything can be restored."
			}
			for p := range missing {
				if whole && strings.HasPrefix(p, on) && aws.ToInt32(t.Days) == 0 && t.Date == nil {
					delete(missing, p)
				}
			}
		}
	}
	switch {
	case len(missing) > 0:
		var left []string
		for _, p := range []string{"data/", "packs/", "streams/"} {
			if missing[root+p] {
				left = append(left, root+p)
			}
		}
		return "archives nothing at once below " + strings.Join(left, ", "), fixes["lifecycle"]
	case !small:
		return "leaves objects below 128 KiB out", "Set TransitionDefaultMinimumObjectSize to varies_by_storage_class."
	case !aborts:
		return "never aborts incomplete multipart uploads", "Add a rule for everything with AbortIncompleteMultipartUpload after 7 days: parts cost the price of STANDARD."
	}
	return "", ""
}

// scope is the prefix that a rule is on, and whether it is on everything below it.
func scope(r types.LifecycleRule) (prefix string, whole bool) {
	f := r.Filter
	switch {
	case f == nil:
		return aws.ToString(r.Prefix), true //nolint:staticcheck // old rules have it
	case f.And != nil:
		return aws.ToString(f.And.Prefix), false
	case f.Tag != nil, f.ObjectSizeGreaterThan != nil, f.ObjectSizeLessThan != nil:
		return "", false
	}
	return aws.ToString(f.Prefix), true
}
