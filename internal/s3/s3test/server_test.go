package s3test_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

// A second client, with the SDK's own habits: checksums in trailers, chunks, the
// system's clock.
func TestTheSDKAlone(t *testing.T) {
	server, err := s3test.New(s3test.Options{Keys: []s3test.Key{s3test.Admin(keyID, secret)}})
	check(t, err, nil)
	web := httptest.NewTLSServer(server)
	defer web.Close()
	client := sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &web.URL, UsePathStyle: true, HTTPClient: web.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	ctx, bucket := t.Context(), aws.String("smith")
	_, err = client.CreateBucket(ctx, &sdk.CreateBucketInput{Bucket: bucket})
	check(t, err, nil)
	_, err = client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: bucket})
	check(t, err, nil)
	body := strings.Repeat("chunk", 100_000)
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme} {
		// Not a Seeker, so that only a trailer can carry the checksum.
		_, err = client.PutObject(ctx, &sdk.PutObjectInput{Bucket: bucket, Key: aws.String("a/b"), Body: io.MultiReader(strings.NewReader(body)),
			ContentLength: aws.Int64(int64(len(body))), ChecksumAlgorithm: algorithm})
		check(t, err, nil)
		out, err := client.GetObject(ctx, &sdk.GetObjectInput{Bucket: bucket, Key: aws.String("a/b"), ChecksumMode: types.ChecksumModeEnabled})
		check(t, err, nil)
		got, err := io.ReadAll(out.Body) // which compares the checksum
		check(t, err, nil)
		if string(got) != body {
			t.Errorf("%s: %d bytes came back of %d", algorithm, len(got), len(body))
		}
	}
	_, err = client.PutObject(ctx, &sdk.PutObjectInput{Bucket: bucket, Key: aws.String("a/c/d"), Body: bytes.NewReader(nil)})
	check(t, err, nil)
	_, err = client.PutObject(ctx, &sdk.PutObjectInput{Bucket: bucket, Key: aws.String("z"), Body: bytes.NewReader(nil)})
	check(t, err, nil)
	page, err := client.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)})
	check(t, err, nil)
	if len(page.CommonPrefixes) != 1 || aws.ToString(page.CommonPrefixes[0].Prefix) != "a/" || len(page.Contents) != 0 {
		t.Errorf("first page: %+v %+v", page.CommonPrefixes, page.Contents)
	}
	page, err = client.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/"), ContinuationToken: page.NextContinuationToken})
	check(t, err, nil)
	if len(page.CommonPrefixes) != 0 || len(page.Contents) != 1 || aws.ToString(page.Contents[0].Key) != "z" {
		t.Errorf("second page: %+v %+v", page.CommonPrefixes, page.Contents)
	}
	deleted, err := client.DeleteObjects(ctx, &sdk.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("z")}, {Key: aws.String("gone")}}}})
	check(t, err, nil)
	if len(deleted.Deleted) != 2 || len(deleted.Errors) != 0 {
		t.Errorf("deleted: %+v, errors: %+v", deleted.Deleted, deleted.Errors)
	}
}

func TestUploadsAreListed(t *testing.T) {
	server, b := serve(t, s3test.Options{Now: time.Now})
	create(t, server)
	id, err := b.StartUpload(t.Context(), backup.PutSpec{Key: "a b"})
	check(t, err, nil)
	web := httptest.NewServer(server)
	defer web.Close()
	client := sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &web.URL, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	out, err := client.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsInput{Bucket: aws.String("smith")})
	check(t, err, nil)
	if len(out.Uploads) != 1 || aws.ToString(out.Uploads[0].UploadId) != id || aws.ToString(out.Uploads[0].Key) != "a b" {
		t.Errorf("uploads: %+v", out.Uploads)
	}
}

func TestServe(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, serve := range map[string]func(context.Context, *s3test.Server) error{
		"http":  func(ctx context.Context, s *s3test.Server) error { return s.Serve(ctx, "127.0.0.1:0") },
		"https": func(ctx context.Context, s *s3test.Server) error { return s.ServeTLS(ctx, "127.0.0.1:0", cert, key) },
	} {
		t.Run(name, func(t *testing.T) {
			url := make(chan string, 1)
			server, err := s3test.New(s3test.Options{Keys: []s3test.Key{s3test.Admin(keyID, secret)}, Ready: func(u string) { url <- u }})
			check(t, err, nil)
			create(t, server)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- serve(ctx, server) }()
			conf := s3.Config{Bucket: "smith", Region: "us-east-1", Endpoint: <-url,
				Credentials: func() (string, string, string, error) { return keyID, secret, "", nil }}
			if name == "https" {
				conf.CAFile = cert
			}
			b, err := s3.Open(conf)
			check(t, err, nil)
			put(t, b, "k", "STANDARD", "body")
			if got := read(t, b, "k", ""); got != "body" {
				t.Errorf("got %q", got)
			}
			b.Close()
			stop()
			check(t, <-ended, nil)
		})
	}
	server, err := s3test.New(s3test.Options{})
	check(t, err, nil)
	if err := server.Serve(t.Context(), "127.0.0.1:-1"); err == nil {
		t.Error("no address, and no error")
	}
}

func TestFaultsAreCounted(t *testing.T) {
	server, b := serve(t, s3test.Options{})
	create(t, server)
	server.Script(s3test.Fault{Op: "PutObject", N: 2, Status: 400, Code: "Second"}, s3test.Fault{Op: "PutObject", Every: 3, Status: 400, Code: "Third"})
	var got []string
	for range 6 {
		_, err := b.Put(t.Context(), backup.PutSpec{Key: "k"}, nil)
		switch {
		case err == nil:
			got = append(got, "")
		case strings.Contains(err.Error(), "Second"):
			got = append(got, "Second")
		default:
			got = append(got, "Third")
		}
	}
	if want := ",Second,Third,,,Third"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if server.Requests("PutObject") != 6 || server.Requests("") != 6 || server.Requests("GetObject") != 0 {
		t.Errorf("%d puts of %d requests", server.Requests("PutObject"), server.Requests(""))
	}
	server.Script(s3test.Fault{Delay: time.Millisecond})
	if got := versions(t, b, ""); len(got) != 3 {
		t.Errorf("%d versions", len(got))
	}
}

func TestThawFactor(t *testing.T) {
	clock := s3test.NewClock()
	server, b := serve(t, s3test.Options{Now: clock.Now, ThawFactor: 0.001})
	create(t, server)
	put(t, b, "k", "GLACIER", "cold")
	check(t, b.Thaw(t.Context(), "k", "", backup.Bulk, 1), nil)
	clock.Add(18 * time.Second)
	if got := read(t, b, "k", ""); got != "cold" {
		t.Errorf("got %q", got)
	}
}

func TestABucketWithoutVersions(t *testing.T) {
	server, b := serve(t, s3test.Options{})
	check(t, server.CreateBucket("smith"), nil)
	if err := server.CreateBucket("smith"); err == nil {
		t.Error("created twice")
	}
	if err := server.CreateBucket("../smith"); err == nil {
		t.Error("a bucket outside of the directory")
	}
	if obj := put(t, b, "k", "STANDARD", "one"); obj.VersionID != "" {
		t.Errorf("%+v", obj)
	}
	put(t, b, "k", "STANDARD", "two")
	if got := versions(t, b, ""); len(got) != 1 || got[0].VersionID != "null" || read(t, b, "k", "") != "two" {
		t.Errorf("versions: %+v", got)
	}
	check(t, server.EnableVersioning("smith"), nil)
	put(t, b, "k", "STANDARD", "three")
	if got := versions(t, b, ""); len(got) != 2 || read(t, b, "k", "null") != "two" {
		t.Errorf("versions: %+v", got)
	}
}

func TestWhatIsUnknownIsNotImplemented(t *testing.T) {
	server, _ := serve(t, s3test.Options{Now: time.Now})
	create(t, server)
	web := httptest.NewServer(server)
	defer web.Close()
	client := sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &web.URL, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	_, err := client.GetObjectTagging(t.Context(), &sdk.GetObjectTaggingInput{Bucket: aws.String("smith"), Key: aws.String("k")})
	if err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("tagging: %v", err)
	}
	_, err = client.CopyObject(t.Context(), &sdk.CopyObjectInput{Bucket: aws.String("smith"), Key: aws.String("k"), CopySource: aws.String("smith/j")})
	if err == nil || !strings.Contains(err.Error(), "NotImplemented") {
		t.Errorf("copy: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/smith/k", nil)
	check(t, err, nil)
	resp, err := web.Client().Do(req)
	check(t, err, nil)
	check(t, resp.Body.Close(), nil)
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("anonymous: %s", resp.Status)
	}
}
