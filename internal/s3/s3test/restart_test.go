package s3test_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

// Everything that a client can see is there again in another process.
func TestADirectoryOutlivesTheServer(t *testing.T) {
	clock := s3test.NewClock()
	opt := s3test.Options{Dir: t.TempDir(), Now: clock.Now, MinPart: -1}
	server, b := serve(t, opt)
	create(t, server)
	check(t, server.Configure("smith", "lifecycle", "<LifecycleConfiguration/>", "varies_by_storage_class"), nil)
	put(t, b, "k", "STANDARD", "one")
	put(t, b, "k", "GLACIER", "two")
	check(t, b.Thaw(t.Context(), "k", "", backup.Bulk, 1), nil)
	spec := backup.PutSpec{Key: "parts", Size: 6, Class: "STANDARD", Metadata: map[string]string{"mtime": "1"}}
	id, err := b.StartUpload(t.Context(), spec)
	check(t, err, nil)
	_, err = b.PutPart(t.Context(), "parts", id, 1, []byte("one"))
	check(t, err, nil)
	_, err = b.PutPart(t.Context(), "parts", id, 2, []byte("xxx"))
	check(t, err, nil)
	before := versions(t, b, "")

	server, b = serve(t, opt)
	if diff := cmp.Diff(before, versions(t, b, "")); diff != "" {
		t.Error(diff)
	}
	check(t, server.EnableVersioning("smith"), nil) // the bucket is there
	_, err = b.PutPart(t.Context(), "parts", id, 2, []byte("two"))
	check(t, err, nil)

	_, b = serve(t, opt)
	parts, err := b.Parts(t.Context(), "parts", id)
	check(t, err, nil)
	obj, err := b.CompleteUpload(t.Context(), spec, id, parts, s3.CRC64([]byte("onetwo")))
	check(t, err, nil)
	clock.Add(5 * time.Hour)

	_, b = serve(t, opt)
	if got := read(t, b, "parts", obj.VersionID); got != "onetwo" {
		t.Errorf("parts: %q", got)
	}
	if head, err := b.Head(t.Context(), "parts", ""); err != nil || head.Metadata["mtime"] != "1" || head.CRC64 != obj.CRC64 {
		t.Errorf("parts: %+v, %v", head, err)
	}
	if got := read(t, b, "k", ""); got != "two" {
		t.Errorf("thawed across restarts: %q", got)
	}
	if got := read(t, b, "k", before[1].VersionID); got != "one" {
		t.Errorf("the older version: %q", got)
	}
	if n := put(t, b, "k", "STANDARD", "three"); n.VersionID == before[0].VersionID || len(versions(t, b, "k")) != 3 {
		t.Errorf("a version's ID was given again, or its place: %+v", versions(t, b, "k"))
	}
	_, err = b.Parts(t.Context(), "parts", id)
	check(t, err, backup.ErrNotFound)
}

// A kill leaves half-written files; they are neither objects nor an obstacle.
func TestLeftoversOfAKill(t *testing.T) {
	dir := t.TempDir()
	server, b := serve(t, s3test.Options{Dir: dir})
	create(t, server)
	put(t, b, "k", "STANDARD", "body")
	for _, name := range []string{"blobs/0000.new", "versions/smith/0000.json.new", "buckets/x.json.new"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600), nil)
	}
	_, b = serve(t, s3test.Options{Dir: dir})
	if got := versions(t, b, ""); len(got) != 1 {
		t.Errorf("versions: %+v", got)
	}
	check(t, os.WriteFile(filepath.Join(dir, "versions/smith/1.json"), []byte("{"), 0o600), nil)
	if _, err := s3test.New(s3test.Options{Dir: dir}); err == nil {
		t.Error("a damaged file is no error")
	}
}

func TestRefusedBodiesLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	server, b := serve(t, s3test.Options{Dir: dir})
	create(t, server)
	spec := backup.PutSpec{Key: "k", Size: 1, IfAbsent: true}
	_, err := b.Put(t.Context(), spec, []byte("1"))
	check(t, err, nil)
	_, err = b.Put(t.Context(), spec, []byte("2"))
	check(t, err, backup.ErrExists)
	blobs, err := os.ReadDir(filepath.Join(dir, "blobs"))
	check(t, err, nil)
	if len(blobs) != 1 {
		t.Errorf("blobs: %v", blobs)
	}
}
