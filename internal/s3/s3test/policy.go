package s3test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// policy is an IAM policy in the form of the IAM User Guide, "IAM JSON policy
// elements reference", as far as it is understood here.
type policy struct {
	Version   string
	Statement []struct {
		Sid, Effect string
		Action      []string
		Resource    string
	}
}

// WithPolicies is a key that may do what IAM policies allow and nothing else. What is
// not understood (Deny, conditions, lists of resources, a * but at a resource's end) is
// an error: a test must not allow more than Amazon does.
func WithPolicies(id, secret string, documents ...[]byte) (Key, error) {
	k := Key{ID: id, Secret: secret}
	for _, document := range documents {
		var p policy
		d := json.NewDecoder(bytes.NewReader(document))
		d.DisallowUnknownFields()
		if err := d.Decode(&p); err != nil {
			return Key{}, fmt.Errorf("policy: %w", err)
		}
		if d.More() {
			return Key{}, errors.New("policy: more than one document")
		}
		if p.Version != "2012-10-17" {
			return Key{}, fmt.Errorf("policy: version %q", p.Version)
		}
		for _, st := range p.Statement {
			g, err := grant(st.Effect, st.Resource, st.Action)
			if err != nil {
				return Key{}, fmt.Errorf("policy: statement %s: %w", st.Sid, err)
			}
			k.Allow = append(k.Allow, g)
		}
	}
	return k, nil
}

// resources says of the actions that a policy here may name what they are done to (Service
// Authorization Reference, Amazon S3).
var resources = map[string]string{
	"ListBucket": "bucket", "ListBucketVersions": "bucket", "ListBucketMultipartUploads": "bucket", "GetBucketLocation": "bucket",
	"GetBucketVersioning": "bucket", "GetBucketPublicAccessBlock": "bucket", "GetEncryptionConfiguration": "bucket", "GetLifecycleConfiguration": "bucket",
	"PutObject": "object", "GetObject": "object", "GetObjectVersion": "object", "RestoreObject": "object",
	"AbortMultipartUpload": "object", "ListMultipartUploadParts": "object",
}

func grant(effect, resource string, actions []string) (Grant, error) {
	path, ok := strings.CutPrefix(resource, "arn:aws:s3:::")
	if effect != "Allow" || !ok {
		return Grant{}, fmt.Errorf("effect %q on %q is not understood", effect, resource)
	}
	bucket, prefix, objects := strings.Cut(path, "/")
	if objects {
		if prefix, ok = strings.CutSuffix(prefix, "*"); !ok {
			return Grant{}, fmt.Errorf("resource %q does not end with *", resource)
		}
	}
	if bucket == "" || strings.ContainsAny(bucket+prefix, "*?$") {
		return Grant{}, fmt.Errorf("resource %q is not understood", resource)
	}
	g := Grant{Bucket: bucket, Prefix: prefix}
	for _, a := range actions {
		a, ok := strings.CutPrefix(a, "s3:")
		if !ok || resources[a] != map[bool]string{false: "bucket", true: "object"}[objects] {
			return Grant{}, fmt.Errorf("action %q on %q allows nothing, or is not understood", a, resource)
		}
		g.Actions = append(g.Actions, a)
	}
	return g, nil
}
