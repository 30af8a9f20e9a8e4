package s3test_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/s3/s3test"
)

func TestWithPolicies(t *testing.T) {
	const statement = `{"Version":"2012-10-17","Statement":[{"Sid":"S","Effect":"Allow","Action":["s3:PutObject"],"Resource":"arn:aws:s3:::b/x/*"}]}`
	key, err := s3test.WithPolicies("id", "secret", []byte(statement))
	want := s3test.Key{ID: "id", Secret: "secret", Allow: []s3test.Grant{{Actions: []string{"PutObject"}, Bucket: "b", Prefix: "x/"}}}
	if diff := cmp.Diff(want, key); diff != "" || err != nil {
		t.Fatalf("%v\n%s", err, diff)
	}
	for name, change := range map[string][2]string{
		"another version":              {"2012-10-17", "2008-10-17"},
		"deny":                         {`"Allow"`, `"Deny"`},
		"a condition":                  {`"Effect"`, `"Condition":{},"Effect"`},
		"another service":              {"s3:PutObject", "sqs:SendMessage"},
		"all actions":                  {"s3:PutObject", "s3:*"},
		"an action on the wrong thing": {"s3:PutObject", "s3:ListBucket"},
		"an object's action, a bucket": {"b/x/*", "b"},
		"one object":                   {"b/x/*", "b/x/y"},
		"any bucket":                   {"b/x/*", "*/x/*"},
		"no ARN":                       {"arn:aws:s3:::b/x/*", "*"},
		"no bucket":                    {"b/x/*", "/x/*"},
		"an action on no object":       {"s3:PutObject", "s3:PutBucketPolicy"},
		"not JSON":                     {"]}", ""},
		"two documents":                {`*"}]}`, `*"}]} {}`},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(statement, change[0]) {
				t.Fatal("changes nothing")
			}
			if key, err := s3test.WithPolicies("id", "secret", []byte(strings.Replace(statement, change[0], change[1], 1))); err == nil {
				t.Errorf("allows %v", key.Allow)
			}
		})
	}
}
