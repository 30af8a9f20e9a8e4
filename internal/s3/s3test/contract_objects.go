package s3test

import (
	"crypto/md5" // what an ETag is
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

func testRoundTrip(t *testing.T, s Scene) {
	body := []byte("three copies, two media, one offsite")
	meta := map[string]string{"mtime": "1700000000.123456789", "mode": "100640", "uid": "0"}
	put, err := s.Bucket.Put(t.Context(), backup.PutSpec{Key: "a/b", Size: int64(len(body)), Metadata: meta, Type: "text/plain"}, body)
	check(t, err, nil)
	sum := md5.Sum(body)
	if put.ETag != hex.EncodeToString(sum[:]) || put.VersionID == "" || put.CRC64 == "" {
		t.Errorf("put: %+v", put)
	}
	head, err := s.Bucket.Head(t.Context(), "a/b", "")
	check(t, err, nil)
	got, obj := s.read(t, "a/b", put.VersionID)
	if got != string(body) {
		t.Errorf("got %q", got)
	}
	for _, o := range []backup.Object{head, obj} {
		if o.Key != "a/b" || o.VersionID != put.VersionID || o.ETag != put.ETag || o.CRC64 != put.CRC64 || o.Size != put.Size ||
			o.Class != "STANDARD" || o.Modified.IsZero() || !cmp.Equal(o.Metadata, meta) {
			t.Errorf("got %+v, put %+v", o, put)
		}
	}
}

func testEmpty(t *testing.T, s Scene) {
	put := s.put(t, "empty", "")
	if got, obj := s.read(t, "empty", ""); got != "" || obj.Size != 0 || obj.CRC64 != put.CRC64 {
		t.Errorf("got %q, %+v", got, obj)
	}
}

func testNames(t *testing.T, s Scene) {
	s.putNames(t, "n/a b", "n/a+b", "n/a%20b", "n/a%2Fb", `n/a"b'<&>`, "n/a?b#c=d;e", "n/grüße 日本", "n/a\tb\nc", "n/~a_b-c.d!*()$@:,", `n/a\b`)
	if got := keysOf(s.list(t, "n/a%2F")); !slices.Equal(got, []string{"n/a%2Fb"}) {
		t.Errorf("list below n/a%%2F: %q", got)
	}
}

func testControlNames(t *testing.T, s Scene) { s.putNames(t, "n/a\x01", "n/\x1f\x7f", "n/\ufffe") }

func (s Scene) putNames(t *testing.T, names ...string) {
	t.Helper()
	slices.Sort(names)
	for _, name := range names {
		s.put(t, name, name)
	}
	for _, name := range names {
		if got, _ := s.read(t, name, ""); got != name {
			t.Errorf("%q holds %q", name, got)
		}
	}
	if got := keysOf(s.list(t, "n/")); !slices.Equal(got, names) {
		t.Errorf("list: %q, want %q", got, names)
	}
	if got := keysOf(s.versions(t, "n/")); !slices.Equal(got, names) {
		t.Errorf("versions: %q, want %q", got, names)
	}
}

func testIfAbsent(t *testing.T, s Scene) {
	spec := backup.PutSpec{Key: "manifest", Size: 1, IfAbsent: true}
	first, err := s.Bucket.Put(t.Context(), spec, []byte("1"))
	check(t, err, nil)
	_, err = s.Bucket.Put(t.Context(), spec, []byte("2"))
	check(t, err, backup.ErrExists)
	if got, obj := s.read(t, "manifest", ""); got != "1" || obj.VersionID != first.VersionID {
		t.Errorf("got %q, %+v", got, obj)
	}
}

func testIfAbsentMarker(t *testing.T, s Scene) {
	s.put(t, "manifest", "1")
	s.send(t, request{method: http.MethodDelete, key: "manifest"}).want(t, http.StatusNoContent, "")
	_, err := s.Bucket.Put(t.Context(), backup.PutSpec{Key: "manifest", Size: 1, IfAbsent: true}, []byte("2"))
	check(t, err, nil)
}

func testVersions(t *testing.T, s Scene) {
	one, two := s.put(t, "k", "one"), s.put(t, "k", "two two")
	other := s.put(t, "k2", "x")
	s.send(t, request{method: http.MethodDelete, key: "k"}).want(t, http.StatusNoContent, "")

	all := s.versions(t, "k")
	if len(all) != 4 || !all[0].Marker || !all[0].Latest || all[0].VersionID == "" {
		t.Fatalf("versions: %+v", all)
	}
	for i, want := range []backup.Object{two, one, other} {
		got := all[i+1]
		if got.Key != want.Key || got.VersionID != want.VersionID || got.ETag != want.ETag || got.Size != want.Size || got.Marker || got.Latest != (i == 2) {
			t.Errorf("version %d: got %+v, want %+v", i, got, want)
		}
	}
	if got := keysOf(s.list(t, "k")); !slices.Equal(got, []string{"k2"}) {
		t.Errorf("list: %q", got)
	}
	_, _, err := s.Bucket.Get(t.Context(), "k", "")
	check(t, err, backup.ErrNotFound)
	_, _, err = s.Bucket.Get(t.Context(), "k", all[0].VersionID)
	check(t, err, backup.ErrNotFound)
	if got, _ := s.read(t, "k", one.VersionID); got != "one" {
		t.Errorf("got %q", got)
	}
}

func testDeleteVersion(t *testing.T, s Scene) {
	one, two := s.put(t, "k", "one"), s.put(t, "k", "two")
	s.send(t, request{method: http.MethodDelete, key: "k", query: "versionId=" + two.VersionID}).want(t, http.StatusNoContent, "")
	if got, obj := s.read(t, "k", ""); got != "one" || obj.VersionID != one.VersionID {
		t.Errorf("got %q, %+v", got, obj)
	}
	_, err := s.Bucket.Head(t.Context(), "k", two.VersionID)
	check(t, err, backup.ErrNotFound)
}

func testPages(t *testing.T, s Scene) {
	var want []string
	for i := range 11 {
		key := fmt.Sprintf("p/%02d %c", i, 'a'+i)
		want = append(want, key)
		s.put(t, key, "1")
		s.put(t, key, "2")
	}
	s.put(t, "o", "before")
	s.put(t, "q", "after")
	if got := keysOf(s.list(t, "p/")); !slices.Equal(got, want) {
		t.Errorf("list: %q", got)
	}
	all := s.versions(t, "p/")
	if len(all) != 2*len(want) {
		t.Fatalf("%d versions, want %d", len(all), 2*len(want))
	}
	for i, o := range all {
		if o.Key != want[i/2] || o.Latest != (i%2 == 0) {
			t.Errorf("version %d: %+v", i, o)
		}
	}
}

func testEnough(t *testing.T, s Scene) {
	s.put(t, "a", "")
	s.put(t, "b", "")
	enough := errors.New("enough")
	for name, walk := range map[string]func(func(backup.Object) error) error{
		"list":     func(each func(backup.Object) error) error { return s.Bucket.List(t.Context(), "", each) },
		"versions": func(each func(backup.Object) error) error { return s.Bucket.Versions(t.Context(), "", each) },
	} {
		n := 0
		err := walk(func(backup.Object) error {
			n++
			return enough
		})
		if !errors.Is(err, enough) || n != 1 {
			t.Errorf("%s: %v after %d", name, err, n)
		}
	}
}

func testMissing(t *testing.T, s Scene) {
	put := s.put(t, "there", "x")
	_, _, err := s.Bucket.Get(t.Context(), "gone", "")
	check(t, err, backup.ErrNotFound)
	_, err = s.Bucket.Head(t.Context(), "gone", "")
	check(t, err, backup.ErrNotFound)
	_, err = s.Bucket.Head(t.Context(), "there", put.VersionID)
	check(t, err, nil)
	if got := s.list(t, "gone"); len(got) != 0 {
		t.Errorf("list: %+v", got)
	}
	if got := s.versions(t, "gone"); len(got) != 0 {
		t.Errorf("versions: %+v", got)
	}
}
