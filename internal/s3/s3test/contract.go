package s3test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"triplicate/internal/backup"
)

// Bucket is a client under contract: what internal/s3 is.
type Bucket interface {
	Put(ctx context.Context, spec backup.PutSpec, body []byte) (backup.Object, error)
	StartUpload(ctx context.Context, spec backup.PutSpec) (id string, err error)
	PutPart(ctx context.Context, key, id string, number int, body []byte) (backup.Part, error)
	Parts(ctx context.Context, key, id string) ([]backup.Part, error)
	CompleteUpload(ctx context.Context, spec backup.PutSpec, id string, parts []backup.Part, crc64 string) (backup.Object, error)
	AbortUpload(ctx context.Context, key, id string) error
	Versions(ctx context.Context, prefix string, each func(backup.Object) error) error
	List(ctx context.Context, prefix string, each func(backup.Object) error) error
	Get(ctx context.Context, key, version string) (io.ReadCloser, backup.Object, error)
	Head(ctx context.Context, key, version string) (backup.Object, error)
	Thaw(ctx context.Context, key, version string, tier backup.Tier, days int) error
}

// Scene is an S3 with an empty bucket that keeps versions, and a client of it whose
// key may do everything.
type Scene struct {
	Bucket Bucket
	// For requests that no client of ours would send.
	Endpoint   string // a URL; buckets are named in the path
	Name       string // of the bucket
	Region     string
	ID, Secret string
	Client     *http.Client
	Now        func() time.Time
	MinPart    int // bytes of the smallest part that may be followed by another
	// Advance moves the S3's clock. Glacier's contract needs it.
	Advance func(time.Duration)
}

// Contract is what a client of S3 may rely on, whoever made the S3. except names the
// rules that an S3 is known to break: they are not tried.
func Contract(t *testing.T, newScene func(t *testing.T) Scene, except ...string) {
	rules(t, newScene, except, map[string]func(*testing.T, Scene){
		"an object is what was put":                   testRoundTrip,
		"an empty object":                             testEmpty,
		"names with any character":                    testNames,
		"names that XML cannot hold":                  testControlNames,
		"if absent":                                   testIfAbsent,
		"if absent, and a delete marker is there":     testIfAbsentMarker,
		"versions, newest first, and delete markers":  testVersions,
		"deleting a version for good":                 testDeleteVersion,
		"listings longer than a page":                 testPages,
		"a listing ends when it is told to":           testEnough,
		"what is missing":                             testMissing,
		"multipart: parts in any order, put again":    testMultipart,
		"multipart: completed is gone":                testCompleted,
		"multipart: more parts than a page":           testManyParts,
		"multipart: aborted":                          testAbort,
		"multipart: small, foreign and damaged parts": testBadParts,
		"checksums are enforced":                      testChecksums,
		"signatures are enforced":                     testSignatures,
		"an unknown key":                              testUnknownKey,
		"a range":                                     testRange,
	})
}

// Glacier is what Glacier adds to the contract: archive classes, and restores that
// take their time.
func Glacier(t *testing.T, newScene func(t *testing.T) Scene, except ...string) {
	rules(t, newScene, except, map[string]func(*testing.T, Scene){
		"archived objects are listed and described":    testArchived,
		"a restore takes its time and expires":         testRestore,
		"tiers":                                        testTiers,
		"a restored copy is kept longer when asked":    testRestoreAgain,
		"each version is restored by itself":           testRestoreVersion,
		"a restore of what is not archived":            testRestoreStandard,
		"objects of parts are archived like any other": testArchivedParts,
		"encryption is echoed":                         testEncryption,
	})
}

func rules(t *testing.T, newScene func(t *testing.T) Scene, except []string, tests map[string]func(*testing.T, Scene)) {
	for _, name := range except {
		if tests[name] == nil {
			t.Errorf("there is no rule %q to be broken", name)
		}
		delete(tests, name)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, newScene(t)) })
	}
}

func check(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

// put puts an object in STANDARD.
func (s Scene) put(t *testing.T, key, body string) backup.Object {
	t.Helper()
	obj, err := s.Bucket.Put(t.Context(), backup.PutSpec{Key: key, Size: int64(len(body))}, []byte(body))
	check(t, err, nil)
	return obj
}

// read reads a version whole.
func (s Scene) read(t *testing.T, key, version string) (string, backup.Object) {
	t.Helper()
	r, obj, err := s.Bucket.Get(t.Context(), key, version)
	check(t, err, nil)
	b, err := io.ReadAll(r)
	check(t, errors.Join(err, r.Close()), nil)
	return string(b), obj
}

func (s Scene) list(t *testing.T, prefix string) []backup.Object {
	t.Helper()
	var all []backup.Object
	check(t, s.Bucket.List(t.Context(), prefix, func(o backup.Object) error {
		all = append(all, o)
		return nil
	}), nil)
	return all
}

func (s Scene) versions(t *testing.T, prefix string) []backup.Object {
	t.Helper()
	var all []backup.Object
	check(t, s.Bucket.Versions(t.Context(), prefix, func(o backup.Object) error {
		all = append(all, o)
		return nil
	}), nil)
	return all
}

func keysOf(objects []backup.Object) []string {
	keys := []string{}
	for _, o := range objects {
		keys = append(keys, o.Key)
	}
	return keys
}
