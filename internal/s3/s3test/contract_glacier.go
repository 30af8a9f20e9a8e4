package s3test

import (
	"net/http"
	"testing"
	"time"

	"triplicate/internal/backup"
)

// archive puts an object of a class.
func (s Scene) archive(t *testing.T, key, class, body string) backup.Object {
	t.Helper()
	obj, err := s.Bucket.Put(t.Context(), backup.PutSpec{Key: key, Size: int64(len(body)), Class: class}, []byte(body))
	check(t, err, nil)
	return obj
}

// readable says whether a version can be read now.
func (s Scene) readable(t *testing.T, key, version string) bool {
	t.Helper()
	r, _, err := s.Bucket.Get(t.Context(), key, version)
	if err == nil {
		_ = r.Close()
		return true
	}
	check(t, err, backup.ErrArchived)
	return false
}

func (s Scene) restore(t *testing.T, key string) backup.Restore {
	t.Helper()
	obj, err := s.Bucket.Head(t.Context(), key, "")
	check(t, err, nil)
	return obj.Restore
}

func testArchived(t *testing.T, s Scene) {
	for _, class := range []string{"GLACIER", "DEEP_ARCHIVE"} {
		put := s.archive(t, class, class, "cold")
		head, err := s.Bucket.Head(t.Context(), class, "")
		check(t, err, nil)
		if head.Class != class || head.CRC64 != put.CRC64 || head.Restore != (backup.Restore{}) {
			t.Errorf("head: %+v", head)
		}
		for _, o := range append(s.list(t, class), s.versions(t, class)...) {
			if o.Class != class {
				t.Errorf("listed as %+v", o)
			}
		}
		if s.readable(t, class, put.VersionID) {
			t.Errorf("%s is readable at once", class)
		}
	}
	if s.archive(t, "instant", "GLACIER_IR", "cool"); !s.readable(t, "instant", "") {
		t.Error("GLACIER_IR is not readable at once")
	}
	spec := backup.PutSpec{Key: "x", Class: "GLACIAL"}
	_, err := s.Bucket.Put(t.Context(), spec, nil)
	check(t, err, backup.ErrRefused)
}

func testRestore(t *testing.T, s Scene) {
	put := s.archive(t, "k", "GLACIER", "cold")
	check(t, s.Bucket.Thaw(t.Context(), "k", put.VersionID, backup.Bulk, 2), nil)
	check(t, s.Bucket.Thaw(t.Context(), "k", put.VersionID, backup.Bulk, 2), nil) // in progress
	s.send(t, request{method: http.MethodPost, key: "k", query: "restore=", body: thawDoc}).want(t, http.StatusConflict, "RestoreAlreadyInProgress")
	s.Advance(5*time.Hour - time.Second)
	if r := s.restore(t, "k"); !r.Ongoing || !r.Until.IsZero() || s.readable(t, "k", "") {
		t.Errorf("just before it is done: %+v", r)
	}
	s.Advance(time.Second)
	done := s.Now()
	r := s.restore(t, "k")
	// Amazon rounds up to the next midnight in UTC.
	if r.Ongoing || r.Until.Before(done.AddDate(0, 0, 2)) || r.Until.After(done.AddDate(0, 0, 3)) || !r.Until.Equal(r.Until.Truncate(24*time.Hour)) {
		t.Errorf("done at %s: %+v", done, r)
	}
	if got, obj := s.read(t, "k", put.VersionID); got != "cold" || obj.CRC64 != put.CRC64 || obj.Class != "GLACIER" || obj.Restore != r {
		t.Errorf("got %q, %+v", got, obj)
	}
	s.Advance(r.Until.Sub(done))
	if r := s.restore(t, "k"); r != (backup.Restore{}) || s.readable(t, "k", "") {
		t.Errorf("after its days: %+v", r)
	}
}

const thawDoc = `<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Days>1</Days><GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters></RestoreRequest>`

func testTiers(t *testing.T, s Scene) {
	for tier, took := range map[backup.Tier]time.Duration{backup.Bulk: 5 * time.Hour, backup.Standard: 3 * time.Hour, backup.Expedited: time.Minute} {
		key := string(tier)
		s.archive(t, key, "GLACIER", "x")
		check(t, s.Bucket.Thaw(t.Context(), key, "", tier, 1), nil)
		s.Advance(took - time.Second)
		if s.readable(t, key, "") {
			t.Errorf("%s: readable after less than %s", tier, took)
		}
		s.Advance(time.Second)
		if !s.readable(t, key, "") {
			t.Errorf("%s: not readable after %s", tier, took)
		}
	}
	s.archive(t, "deep", "DEEP_ARCHIVE", "x")
	check(t, s.Bucket.Thaw(t.Context(), "deep", "", backup.Expedited, 1), backup.ErrRefused)
	check(t, s.Bucket.Thaw(t.Context(), "deep", "", backup.Standard, 0), backup.ErrRefused)
	check(t, s.Bucket.Thaw(t.Context(), "deep", "", backup.Standard, 1), nil)
}

func testRestoreAgain(t *testing.T, s Scene) {
	s.archive(t, "k", "GLACIER", "x")
	check(t, s.Bucket.Thaw(t.Context(), "k", "", backup.Expedited, 1), nil)
	s.Advance(time.Minute)
	before := s.restore(t, "k").Until
	check(t, s.Bucket.Thaw(t.Context(), "k", "", backup.Bulk, 10), nil)
	after := s.restore(t, "k")
	if !s.readable(t, "k", "") || after.Ongoing || after.Until.Sub(before) != 9*24*time.Hour {
		t.Errorf("until %s, then %+v", before, after)
	}
}

func testRestoreVersion(t *testing.T, s Scene) {
	one, two := s.archive(t, "k", "GLACIER", "one"), s.archive(t, "k", "GLACIER", "two")
	check(t, s.Bucket.Thaw(t.Context(), "k", one.VersionID, backup.Expedited, 1), nil)
	s.Advance(time.Minute)
	if s.readable(t, "k", two.VersionID) || s.readable(t, "k", "") || !s.readable(t, "k", one.VersionID) {
		t.Error("want the one version readable that was asked for")
	}
}

func testRestoreStandard(t *testing.T, s Scene) {
	s.put(t, "k", "warm")
	check(t, s.Bucket.Thaw(t.Context(), "k", "", backup.Bulk, 1), nil)
	check(t, s.Bucket.Thaw(t.Context(), "gone", "", backup.Bulk, 1), backup.ErrNotFound)
	s.send(t, request{method: http.MethodPost, key: "k", query: "restore=", body: thawDoc}).want(t, http.StatusForbidden, "InvalidObjectState")
}

func testEncryption(t *testing.T, s Scene) {
	s.send(t, request{method: http.MethodPut, key: "k", headers: map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}, body: "x"}).
		header(t, "X-Amz-Server-Side-Encryption", "AES256")
	s.send(t, request{method: http.MethodHead, key: "k"}).header(t, "X-Amz-Server-Side-Encryption", "AES256")
	s.send(t, request{method: http.MethodPut, key: "k", headers: map[string]string{"X-Amz-Server-Side-Encryption": "ROT13"}, body: "x"}).
		want(t, http.StatusBadRequest, "InvalidArgument")
}
