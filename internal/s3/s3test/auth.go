package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Key is an access key and what it may do.
type Key struct {
	ID      string  `json:"id"`
	Secret  string  `json:"secret"`
	Session string  `json:"session,omitempty"` // a session token that must come with it
	Expired bool    `json:"expired,omitempty"`
	Allow   []Grant `json:"allow"`
}

// Grant allows actions, named as in a policy but without "s3:" (PutObject,
// DeleteObjectVersion, ListBucket; * for all), on keys that begin with Prefix.
// Actions on the bucket itself do not look at Prefix. Every bucket is meant unless one
// is named.
type Grant struct {
	Actions []string `json:"actions"`
	Bucket  string   `json:"bucket,omitempty"`
	Prefix  string   `json:"prefix,omitempty"`
}

// Admin is a key that may do everything.
func Admin(id, secret string) Key {
	return Key{ID: id, Secret: secret, Allow: []Grant{{Actions: []string{"*"}}}}
}

// Uploader is an append-only key: it puts and lists, and neither reads data nor
// deletes. What the daemon must be able to read again is below readable.
func Uploader(id, secret, prefix, readable string) Key {
	return Key{ID: id, Secret: secret, Allow: []Grant{
		{Actions: []string{"PutObject", "AbortMultipartUpload", "ListMultipartUploadParts"}, Prefix: prefix},
		{Actions: []string{"ListBucket", "ListBucketVersions", "ListBucketMultipartUploads", "GetBucketLocation"}},
		{Actions: []string{"GetObject", "GetObjectVersion"}, Prefix: readable},
	}}
}

// SetKeys replaces all keys.
func (s *Server) SetKeys(keys ...Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = map[string]Key{}
	for _, k := range keys {
		s.keys[k.ID] = k
	}
}

// Unused are the actions, with their prefixes, that a key may do and has not done: not
// once was a request allowed by that grant, the first one that allows it.
func (s *Server) Unused(id string) (unused []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.keys[id].Allow {
		for _, a := range g.Actions {
			if !s.used[id+" "+a+" "+g.Prefix] {
				unused = append(unused, a+" "+g.Prefix)
			}
		}
	}
	return unused
}

// allowed says whether the key that signed a request may do action to an object.
func (s *Server) allowed(c *call, action, key string) error {
	if action == "" {
		return nil
	}
	if g, ok := c.access.grant(action, c.bucketName, key); ok {
		s.mu.Lock()
		s.used[c.access.ID+" "+action+" "+g.Prefix] = true
		s.mu.Unlock()
		return nil
	}
	return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "User is not authorized to perform: s3:" + action}
}

func (k Key) may(action, bucket, key string) bool {
	_, ok := k.grant(action, bucket, key)
	return ok
}

// grant is the first that allows an action.
func (k Key) grant(action, bucket, key string) (Grant, bool) {
	for _, g := range k.Allow {
		if (g.Bucket == "" || g.Bucket == bucket) && (slices.Contains(g.Actions, action) || slices.Contains(g.Actions, "*")) &&
			(key == "" || strings.HasPrefix(key, g.Prefix)) {
			return g, true
		}
	}
	return Grant{}, false
}

// scope is what an Authorization header says.
type scope struct {
	keyID, date, region string
	signed              []string
	signature           string
}

func parseAuthorization(header string) (scope, error) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		if header == "" {
			return scope{}, &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Anonymous users cannot do this."}
		}
		return scope{}, &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Please use AWS4-HMAC-SHA256."}
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	cred := strings.Split(fields["Credential"], "/")
	if len(cred) != 5 || cred[3] != "s3" || cred[4] != "aws4_request" {
		return scope{}, &Error{Status: http.StatusBadRequest, Code: "AuthorizationHeaderMalformed", Message: "The authorization header is malformed."}
	}
	return scope{cred[0], cred[1], cred[2], strings.Split(fields["SignedHeaders"], ";"), fields["Signature"]}, nil
}

// authenticate checks who signed a request, when, and that nothing was changed.
func (s *Server) authenticate(c *call) error {
	auth, err := parseAuthorization(c.r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	key, known := s.keys[auth.keyID]
	s.mu.Unlock()
	switch {
	case !known:
		return &Error{Status: http.StatusForbidden, Code: "InvalidAccessKeyId", Message: "The AWS Access Key Id " + auth.keyID + " you provided does not exist in our records."}
	case key.Expired:
		return &Error{Status: http.StatusBadRequest, Code: "ExpiredToken", Message: "The provided token has expired."}
	case c.r.Header.Get("X-Amz-Security-Token") != key.Session:
		return &Error{Status: http.StatusForbidden, Code: "InvalidToken", Message: "The provided token is malformed or otherwise invalid."}
	case auth.region != s.opt.Region:
		return &Error{Status: http.StatusBadRequest, Code: "AuthorizationHeaderMalformed", Message: fmt.Sprintf("The authorization header is malformed; the region '%s' is wrong; expecting '%s'", auth.region, s.opt.Region), Region: s.opt.Region}
	}
	date := c.r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || !strings.HasPrefix(date, auth.date) {
		return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "AWS authentication requires a valid Date or x-amz-date header"}
	}
	if off := at.Sub(c.now); off > 15*time.Minute || off < -15*time.Minute {
		return &Error{Status: http.StatusForbidden, Code: "RequestTimeTooSkewed", Message: "The difference between the request time and the current time is too large."}
	}
	for name := range c.r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(auth.signed, name) {
			return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "There were headers present in the request which were not signed: " + name}
		}
	}
	if !slices.Contains(auth.signed, "host") || c.r.Header.Get("X-Amz-Content-Sha256") == "" {
		return &Error{Status: http.StatusBadRequest, Code: "InvalidRequest", Message: "Missing required header for this request: x-amz-content-sha256"}
	}
	canonical := canonicalRequest(c.r, auth.signed)
	toSign := "AWS4-HMAC-SHA256\n" + date + "\n" + auth.date + "/" + auth.region + "/s3/aws4_request\n" + hexSum(canonical)
	if want := sign(key.Secret, auth, toSign); !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return &signatureError{auth.keyID, canonical, toSign}
	}
	c.access = key
	return nil
}

// canonicalRequest is what is signed, of what arrived.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func canonicalRequest(r *http.Request, signed []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, escape(r.URL.Path, true), canonicalQuery(r.URL.Query()))
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), r.Header.Get("X-Amz-Content-Sha256"))
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(name, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is Amazon's URI encoding: all but unreserved characters, in upper case.
func escape(s string, path bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		ch := s[i]
		switch {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', strings.IndexByte("-._~", ch) >= 0, path && ch == '/':
			b.WriteByte(ch)
		default:
			b.Write([]byte{'%', hexDigits[ch>>4], hexDigits[ch&15]})
		}
	}
	return b.String()
}

func sign(secret string, auth scope, toSign string) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{auth.date, auth.region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
