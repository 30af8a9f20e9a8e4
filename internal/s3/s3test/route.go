package s3test

import (
	"net/http"
	"net/url"
	"time"
)

// call is one request on its way through.
type call struct {
	w          http.ResponseWriter
	r          *http.Request
	id         string
	now        time.Time
	bucketName string
	key        string
	query      url.Values
	op         string // as the API reference names it
	action     string // as a policy names it, without s3:
	handle     func(*call) error
	fault      *fault
	access     Key // that signed it
}

// configs are what a bucket can be configured with, by the query's word.
var configs = map[string]struct{ name, action, root, missing string }{
	"versioning":        {"BucketVersioning", "BucketVersioning", "VersioningConfiguration", ""},
	"publicAccessBlock": {"PublicAccessBlock", "BucketPublicAccessBlock", "PublicAccessBlockConfiguration", "NoSuchPublicAccessBlockConfiguration"},
	"encryption":        {"BucketEncryption", "EncryptionConfiguration", "ServerSideEncryptionConfiguration", "ServerSideEncryptionConfigurationNotFoundError"},
	"lifecycle":         {"BucketLifecycleConfiguration", "LifecycleConfiguration", "LifecycleConfiguration", "NoSuchLifecycleConfiguration"},
	"ownershipControls": {"BucketOwnershipControls", "BucketOwnershipControls", "OwnershipControls", "OwnershipControlsNotFoundError"},
	"policy":            {"BucketPolicy", "BucketPolicy", "", "NoSuchBucketPolicy"},
}

// route finds what a request asks for. A nil handler means that it is not known.
func (s *Server) route(c *call) (handle func(*call) error, op, action string) {
	switch {
	case c.bucketName == "":
		return nil, "ListBuckets", "ListAllMyBuckets"
	case c.key == "":
		return s.routeBucket(c)
	case c.query.Has("uploadId") || c.query.Has("uploads"):
		return s.routeUpload(c)
	case c.query.Has("restore") && c.r.Method == http.MethodPost:
		return s.restoreObject, "RestoreObject", "RestoreObject"
	}
	for sub := range c.query {
		switch sub {
		case "versionId", "x-id":
		default:
			return nil, "Unknown", "Unknown"
		}
	}
	version := ""
	if c.query.Has("versionId") {
		version = "Version"
	}
	switch c.r.Method {
	case http.MethodPut:
		if c.r.Header.Get("X-Amz-Copy-Source") != "" {
			return nil, "CopyObject", "PutObject"
		}
		return s.putObject, "PutObject", "PutObject"
	case http.MethodGet:
		return s.getObject, "GetObject", "GetObject" + version
	case http.MethodHead:
		return s.getObject, "HeadObject", "GetObject" + version
	case http.MethodDelete:
		return s.deleteObject, "DeleteObject", "DeleteObject" + version
	}
	return nil, "Unknown", "Unknown"
}

func (s *Server) routeBucket(c *call) (handle func(*call) error, op, action string) {
	get := c.r.Method == http.MethodGet
	for sub, conf := range configs {
		if !c.query.Has(sub) {
			continue
		}
		switch c.r.Method {
		case http.MethodGet:
			return func(c *call) error { return s.getConfig(c, sub) }, "Get" + conf.name, "Get" + conf.action
		case http.MethodPut:
			return func(c *call) error { return s.putConfig(c, sub) }, "Put" + conf.name, "Put" + conf.action
		}
		return nil, "Delete" + conf.name, "Put" + conf.action
	}
	switch {
	case c.query.Has("location") && get:
		return s.getLocation, "GetBucketLocation", "GetBucketLocation"
	case c.query.Has("versions") && get:
		return s.listVersions, "ListObjectVersions", "ListBucketVersions"
	case c.query.Has("uploads") && get:
		return s.listUploads, "ListMultipartUploads", "ListBucketMultipartUploads"
	case c.query.Has("delete") && c.r.Method == http.MethodPost:
		return s.deleteObjects, "DeleteObjects", ""
	case c.query.Get("list-type") == "2" && get:
		return s.listObjects, "ListObjectsV2", "ListBucket"
	case c.r.Method == http.MethodHead:
		return s.headBucket, "HeadBucket", "ListBucket"
	case c.r.Method == http.MethodPut && len(c.query) == 0:
		return s.createBucket, "CreateBucket", "CreateBucket"
	}
	return nil, "Unknown", "Unknown"
}

func (s *Server) routeUpload(c *call) (handle func(*call) error, op, action string) {
	switch c.r.Method {
	case http.MethodPost:
		if c.query.Has("uploads") {
			return s.createUpload, "CreateMultipartUpload", "PutObject"
		}
		return s.completeUpload, "CompleteMultipartUpload", "PutObject"
	case http.MethodPut:
		return s.uploadPart, "UploadPart", "PutObject"
	case http.MethodDelete:
		return s.abortUpload, "AbortMultipartUpload", "AbortMultipartUpload"
	case http.MethodGet:
		return s.listParts, "ListParts", "ListMultipartUploadParts"
	}
	return nil, "Unknown", "Unknown"
}
