package offsite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"triplicate/internal/backup"
	"triplicate/internal/offsite"
)

// killScene is a dataset with one committed point and changes of every kind.
func killScene(t *testing.T) (*scene, *bucket) {
	b := newBucket()
	s := newScene(t, b)
	s.write("changed", "before")
	s.write("gone", "gone")
	s.write("kept", "kept")
	s.write("large changed", strings.Repeat("before", 200))
	s.commit(s.snapshot())
	s.write("changed", "after it")
	s.write("large changed", strings.Repeat("after", 300)) // 1500 bytes, 4 parts
	s.write("large new", strings.Repeat("n", 1001))
	s.write("new/1", "one")
	s.write("new/2", "two")
	s.write("\u201bodd", "outside rclone's layout")
	check(t, os.Symlink("kept", s.dir+"/link"))
	s.remove("gone")
	return s, b
}

// wantVersions are the versions of each object after the second point of killScene.
func wantVersions(t *testing.T, s *scene, b *bucket) {
	t.Helper()
	want := map[string]int{"changed": 2, "large changed": 2}
	for key, n := range b.keys(prefix + "/data/") {
		name := strings.TrimPrefix(key, backup.DataPrefix(prefix, dataset))
		if n != max(1, want[name]) {
			t.Errorf("%s has %d versions", key, n)
		}
	}
	if n := s.manifests(b); n != 2 {
		t.Errorf("%d manifests, want 2", n)
	}
	latestAreReferenced(t, s, b)
}

// latestAreReferenced says that the manifest names the version of each live object
// that hides all others: any other would expire.
func latestAreReferenced(t *testing.T, s *scene, b *bucket) {
	t.Helper()
	rows, err := s.vault(b).State(t.Context(), ramDir(t), dataset, "")
	check(t, err)
	for path, e := range rows {
		if !e.Type.HasObject() {
			continue
		}
		latest, err := b.Head(t.Context(), backup.KeyOf(prefix, dataset, e), "")
		check(t, err)
		if latest.VersionID != e.Version {
			t.Errorf("%q: the manifest has version %s, the latest is %s", path, e.Version, latest.VersionID)
		}
	}
}

// attempt surveys and commits over a bucket that may die.
func (s *scene) attempt(b offsite.Bucket, job backup.OffsiteJob) error {
	v := s.vault(b)
	found, err := v.Survey(s.t.Context(), job)
	if err != nil {
		return err
	}
	_, err = v.Commit(s.t.Context(), job, found, nil)
	return err
}

// sweep cuts a run off at each of its calls, before and after the call is carried
// out, and then lets next run.
func sweep(t *testing.T, next func(t *testing.T, s *scene, b *bucket, job backup.OffsiteJob, lost string)) {
	for n := 1; ; n++ {
		done := false
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, answer lost %v", n, after), func(t *testing.T) {
				s, b := killScene(t)
				job := s.snapshot()
				c := &cut{bucket: b, at: n, after: after}
				err := s.attempt(c, job)
				if err == nil {
					done = true
				} else if !is(err, errCut) {
					t.Fatal(err)
				}
				next(t, s, b, job, c.last)
			})
		}
		if done {
			return
		}
	}
}

func TestCutOffAnywhereAndCalledAgain(t *testing.T) {
	sweep(t, func(t *testing.T, s *scene, b *bucket, job backup.OffsiteJob, _ string) {
		check(t, s.attempt(b, job))
		s.verify()
		wantVersions(t, s, b)
	})
}

// The cache may be lost with the process: then what arrived is found by listing.
func TestCutOffAnywhereAndTheCacheLost(t *testing.T) {
	sweep(t, func(t *testing.T, s *scene, b *bucket, job backup.OffsiteJob, _ string) {
		s.cache = ramDir(t)
		err := s.attempt(b, job)
		check(t, err)
		s.verify()
		wantVersions(t, s, b)
	})
}

// An upload may be given up for good; the next night finds what it left, also where
// a file went back to what it was: then the old version lies hidden below a newer
// one, and would expire.
func TestCutOffAnywhereAndGivenUp(t *testing.T) {
	for name, lose := range map[string]bool{"cache kept": false, "cache lost": true} {
		t.Run(name, func(t *testing.T) {
			sweep(t, func(t *testing.T, s *scene, b *bucket, job backup.OffsiteJob, lost string) {
				if s.manifests(b) == 2 {
					return // it had been committed
				}
				s.write("changed", "before")
				s.remove("new/1")
				if lose {
					s.cache = ramDir(t)
				}
				// Surveyed for one night, and committed the next.
				s.survey(s.snapshot())
				check(t, s.attempt(b, s.snapshot()))
				s.verify()
				latestAreReferenced(t, s, b)
				if again := s.survey(s.snapshot()); !again.Change.Empty() {
					t.Errorf("still %+v", again.Change)
				}
				// An upload whose beginning was never answered has no known ID: the
				// bucket's own rule has to remove it.
				if n := len(b.uploads); !lose && n != 0 && lost != "StartUpload" {
					t.Errorf("%d uploads in parts left behind", n)
				}
			})
		})
	}
}

// Two kills in one run.
func TestCutOffTwice(t *testing.T) {
	for first := 4; first < 20; first += 3 {
		for second := 1; second < 16; second += 2 {
			s, b := killScene(t)
			job := s.snapshot()
			_ = s.attempt(&cut{bucket: b, at: first, after: true}, job)
			_ = s.attempt(&cut{bucket: b, at: second, after: second%4 == 1}, job)
			check(t, s.attempt(b, job))
			s.verify()
			wantVersions(t, s, b)
		}
	}
}

// A power cut takes the end of the journal, in the middle of a line perhaps.
func TestTheEndOfTheJournalIsLost(t *testing.T) {
	s, b := killScene(t)
	job := s.snapshot()
	// Everything is uploaded, the manifest is not.
	if err := s.attempt(&noManifest{b}, job); !is(err, errCut) {
		t.Fatal(err)
	}
	check(t, os.Remove(s.cached("manifest.gz")))
	whole, err := os.ReadFile(s.cached("journal"))
	check(t, err)
	uploaded := len(b.keys(prefix + "/data/"))
	for size := 0; size < len(whole); size += 7 {
		check(t, os.WriteFile(s.cached("journal"), whole[:size], 0o600))
		// Cut off at the manifest again.
		if err := s.attempt(&noManifest{bucket: b}, job); !is(err, errCut) {
			t.Fatal(err)
		}
		check(t, os.Remove(s.cached("manifest.gz")))
	}
	if n := len(b.keys(prefix + "/data/")); n != uploaded {
		t.Errorf("%d objects, before %d", n, uploaded)
	}
	check(t, s.attempt(b, job))
	s.verify()
	wantVersions(t, s, b)
}

// noManifest refuses manifests.
type noManifest struct{ *bucket }

func (n *noManifest) Put(ctx context.Context, spec backup.PutSpec, body []byte) (backup.Object, error) {
	if isManifest(spec) {
		return backup.Object{}, errCut
	}
	return n.bucket.Put(ctx, spec, body)
}

func isManifest(spec backup.PutSpec) bool {
	return strings.HasPrefix(spec.Key, backup.ManifestsPrefix(prefix))
}

func TestPartsThatArrivedAreNotPutAgain(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("film", strings.Repeat("0123456789", 400)) // 10 parts
	job := s.snapshot()
	// Three listings of the survey, three of the commit, StartUpload, then six parts.
	if err := s.attempt(&cut{bucket: b, at: 13, after: true}, job); !is(err, errCut) {
		t.Fatal(err)
	}
	arrived := b.count("PutPart")
	if arrived < 5 {
		t.Fatalf("only %d parts arrived", arrived)
	}
	check(t, s.attempt(b, job))
	if n := b.count("PutPart"); n != 10-arrived {
		t.Errorf("%d parts put after %d, want %d", n, arrived, 10-arrived)
	}
	if n := b.count("StartUpload"); n != 1 {
		t.Errorf("%d uploads begun", n)
	}
	s.verify()
}

func TestAPartThatDoesNotFitIsPutAgain(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("film", strings.Repeat("0123456789", 400))
	job := s.snapshot()
	if err := s.attempt(&cut{bucket: b, at: 13, after: true}, job); !is(err, errCut) {
		t.Fatal(err)
	}
	for _, parts := range b.uploads {
		for n := range parts {
			parts[n] = bytes.Repeat([]byte("?"), len(parts[n]))
		}
	}
	check(t, s.attempt(b, job))
	s.verify()
}

func TestAManifestIsNeverReplaced(t *testing.T) {
	s, b := killScene(t)
	job := s.snapshot()
	if err := s.attempt(&noManifest{b}, job); !is(err, errCut) {
		t.Fatal(err)
	}
	// Somebody else's of the same name appears between the look and the PUT.
	late := &lateManifest{bucket: b}
	if err := s.attempt(late, job); !is(err, backup.ErrTwoWriters) {
		t.Errorf("committed over another manifest: %v", err)
	}
	got, _, err := b.Get(t.Context(), late.key, "")
	check(t, err)
	body := new(bytes.Buffer)
	_, err = body.ReadFrom(got)
	check(t, err)
	if body.String() != "another" {
		t.Error("the other manifest was replaced")
	}
}

type lateManifest struct {
	*bucket
	key string
}

func (l *lateManifest) Put(ctx context.Context, spec backup.PutSpec, body []byte) (backup.Object, error) {
	if isManifest(spec) {
		other := spec
		other.Size = int64(len("another"))
		if _, err := l.bucket.Put(ctx, other, []byte("another")); err != nil {
			return backup.Object{}, err
		}
		l.key = spec.Key
	}
	return l.bucket.Put(ctx, spec, body)
}

func TestCommitRepeatedAfterItSucceeded(t *testing.T) {
	s, b := killScene(t)
	job := s.snapshot()
	v := s.vault(b)
	found, err := v.Survey(t.Context(), job)
	check(t, err)
	first, err := v.Commit(t.Context(), job, found, nil)
	check(t, err)
	again, err := v.Commit(t.Context(), job, found, nil)
	check(t, err)
	if again.Manifest != first.Manifest || again.Objects != 0 || again.Header.Seq != first.Header.Seq {
		t.Errorf("first %+v, then %+v", first, again)
	}
	wantVersions(t, s, b)
}
