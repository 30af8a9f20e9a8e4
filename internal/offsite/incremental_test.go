package offsite_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/offsite"
)

func is(err, target error) bool { return errors.Is(err, target) }

func TestOnlyWhatChangedIsUploaded(t *testing.T) {
	later := time.Unix(1_800_000_000, 5)
	tests := map[string]struct {
		change func(s *scene)
		want   backup.Change
	}{
		"nothing": {
			change: func(*scene) {},
		},
		"a new file": {
			change: func(s *scene) { s.write("new", "fresh") },
			want:   backup.Change{Upload: 1, UploadBytes: 5},
		},
		"other content": {
			change: func(s *scene) { s.write("a", "changed!") },
			want:   backup.Change{Upload: 1, UploadBytes: 8, Replace: 1, GoneBytes: 3},
		},
		"other content of the same size and a new time": {
			change: func(s *scene) { s.write("a", "xyz"); s.touch("a", later) },
			want:   backup.Change{Upload: 1, UploadBytes: 3, Replace: 1, GoneBytes: 3},
		},
		"a new time alone uploads nothing": {
			change: func(s *scene) { s.touch("a", later); s.touch("sub/large", later) },
			want:   backup.Change{Meta: 2},
		},
		"mode alone uploads nothing": {
			change: func(s *scene) { check(s.t, os.Chmod(s.dir+"/a", 0o600)) },
			want:   backup.Change{Meta: 1},
		},
		"a file is gone": {
			change: func(s *scene) { s.remove("a") },
			want:   backup.Change{Gone: 1, GoneBytes: 3},
		},
		"a folder is gone": {
			change: func(s *scene) { s.remove("sub") },
			want:   backup.Change{Gone: 3, GoneBytes: 2003, Meta: 2},
		},
		"a rename is one new and one gone": {
			change: func(s *scene) { check(s.t, os.Rename(s.dir+"/a", s.dir+"/z")) },
			want:   backup.Change{Upload: 1, UploadBytes: 3, Gone: 1, GoneBytes: 3},
		},
		"a file turned into a folder": {
			change: func(s *scene) { s.remove("a"); s.write("a/in", "1") },
			want:   backup.Change{Upload: 1, UploadBytes: 1, Gone: 1, GoneBytes: 3, Meta: 1},
		},
		"a symlink with another target": {
			change: func(s *scene) { s.remove("l"); check(s.t, os.Symlink("b", s.dir+"/l")) },
			want:   backup.Change{Upload: 1, Replace: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBucket()
			s := newScene(t, b)
			s.write("a", "aaa")
			s.write("sub/b", "bbb")
			s.write("sub/large", strings.Repeat("l", 2000))
			check(t, os.MkdirAll(s.dir+"/sub/d", 0o755))
			check(t, os.Symlink("a", s.dir+"/l"))
			check(t, os.Symlink("a", s.dir+"/sub/l"))
			s.commit(s.snapshot())
			tt.change(s)
			job := s.snapshot()
			if diff := cmp.Diff(tt.want, s.survey(job).Change); diff != "" {
				t.Error(diff)
			}
			s.commit(job)
			s.verify()
			if again := s.survey(s.snapshot()); !again.Change.Empty() {
				t.Errorf("after the commit there is still %+v", again.Change)
			}
		})
	}
}

func TestAnUnchangedDatasetCostsOneRequest(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	oddTree(s)
	first := s.commit(s.snapshot())
	before := b.Requests()
	job := s.snapshot()
	found := s.survey(job)
	if !found.Change.Empty() {
		t.Errorf("change: %+v", found.Change)
	}
	if n := b.Requests() - before; n != 1 {
		t.Errorf("%d requests, want 1 LIST", n)
	}
	// The new point is written down all the same: it is proved to be what the copy is.
	res, err := s.vault(b).Commit(t.Context(), job, found, nil)
	check(t, err)
	if res.Header.Seq != 2 || res.Header.Base != first.Manifest || res.Header.Changed != 0 || res.Header.Point != job.Snapshot.GUID || res.Objects != 0 {
		t.Errorf("%+v", res)
	}
	s.verify()
	// But only once for a snapshot.
	if again := s.commit(job); again.Manifest != res.Manifest || s.manifests(b) != 2 {
		t.Errorf("written again: %+v", again)
	}
}

func TestAFileThatComesBackIsNotUploadedAgain(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	s.write("b", "bbb")
	check(t, os.Symlink("b", s.dir+"/l"))
	s.commit(s.snapshot())
	s.remove("a")
	s.remove("l")
	gone := s.snapshot()
	s.commit(gone)
	if _, _, err := s.vault(b).Find(t.Context(), dataset, "a", ""); !is(err, backup.ErrNotFound) {
		t.Errorf("found what is gone: %v", err)
	}
	s.write("a", "aaa")
	s.touch("a", time.Unix(5, 0))
	check(t, os.Symlink("b", s.dir+"/l"))
	if res := s.commit(s.snapshot()); res.Objects != 0 || res.Header.Seq != 3 {
		t.Errorf("%+v", res)
	}
	s.verify()
	oneVersionEach(t, b)
	// The point in between is still without it.
	if _, h, err := s.vault(b).Find(t.Context(), dataset, "a", gone.Stamp); !is(err, backup.ErrNotFound) || h.Stamp != gone.Stamp {
		t.Errorf("at %s: %+v, %v", gone.Stamp, h, err)
	}
	// With other content it is uploaded.
	s.remove("a")
	s.commit(s.snapshot())
	s.write("a", "AAA")
	if res := s.commit(s.snapshot()); res.Objects != 1 {
		t.Errorf("%+v", res)
	}
	s.verify()
}

func TestEveryPointCanBeFound(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	for i := range 20 {
		s.write(fmt.Sprintf("file %02d", i), strings.Repeat("x", i))
	}
	s.commit(s.snapshot())
	whole := 0
	for night := range 40 {
		s.write("hot", fmt.Sprint("night ", night))
		s.touch("hot", time.Unix(int64(night), 0))
		res := s.commit(s.snapshot())
		if res.Header.Base == "" {
			whole++
		}
		if night%7 == 0 {
			s.verify()
			s.cache = ramDir(t) // and the next night begins without a cache
		}
	}
	// 21 or 22 rows: every eleventh delta or so makes half of them.
	if whole < 2 || whole > 5 {
		t.Errorf("%d of 40 manifests are whole", whole)
	}
	for night := range 40 {
		stamp := backup.StampOf(time.Date(2026, 11, night+2, 3, 0, 0, 0, time.UTC))
		e, h, err := s.vault(b).Find(t.Context(), dataset, "hot", stamp)
		check(t, err)
		var got strings.Builder
		check(t, s.vault(b).Fetch(t.Context(), dataset, e, &got))
		if want := fmt.Sprint("night ", night); got.String() != want || h.Stamp != stamp {
			t.Errorf("at %s: %q, want %q", stamp, got.String(), want)
		}
	}
	if _, _, err := s.vault(b).Find(t.Context(), dataset, "hot", "20261031T000000Z"); !is(err, backup.ErrNotFound) {
		t.Errorf("before the first point: %v", err)
	}
}

func TestALostCacheIsRebuilt(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	oddTree(s)
	s.commit(s.snapshot())
	s.write("new", "1")
	s.remove("dir")
	s.commit(s.snapshot())
	for name, lose := range map[string]func(){
		"all of it":         func() { s.cache = ramDir(t) },
		"the catalog":       func() { check(t, os.Remove(s.cached("catalog"))) },
		"the catalog's end": func() { check(t, os.Truncate(s.cached("catalog"), 3000)) },
		"a bit of it": func() {
			name := s.cached("catalog")
			raw, err := os.ReadFile(name)
			check(t, err)
			check(t, os.WriteFile(name, []byte(strings.Replace(string(raw), `"gid":`, `"uid":`, 1)), 0o600))
		},
	} {
		lose()
		if found := s.survey(s.snapshot()); !found.Change.Empty() || found.Before == nil || found.Before.Seq != 2 {
			t.Errorf("%s lost: %+v", name, found)
		}
	}
	s.verify()
	oneVersionEach(t, b)
}

// cached is a file of the local cache.
func (s *scene) cached(name string) string { return s.cache + "/" + guid.String() + "/" + name }

func TestAReplacedDatasetGoesOnInTheChain(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	s.commit(s.snapshot())
	job := s.snapshot()
	job.Dataset.GUID = 99
	found := s.survey(job)
	in := backup.GuardInput{Dataset: job.Dataset, Before: found.Before, Change: found.Change}
	if backup.GuardOffsite(in) == "" {
		t.Error("a replaced dataset is not held")
	}
	// Approved, its guid goes into a manifest even if no file differs.
	res, err := s.vault(b).Commit(t.Context(), job, found, nil)
	check(t, err)
	if res.Header.GUID != 99 || res.Header.Seq != 2 || res.Objects != 0 {
		t.Errorf("%+v", res)
	}
}

func TestTwoWritersAreNoticed(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	s.commit(s.snapshot())
	s.write("b", "bbb")
	mine := s.snapshot()
	v := s.vault(b)
	found, err := v.Survey(t.Context(), mine)
	check(t, err)
	// Meanwhile another machine commits, with a cache of its own.
	own := s.cache
	s.cache = ramDir(t)
	s.commit(s.snapshot())
	s.cache = own
	if _, err := v.Commit(t.Context(), mine, found, nil); !is(err, backup.ErrStale) {
		t.Errorf("commit on top of another: %v", err)
	}
	other := offsite.New(offsite.Config{Bucket: b, Host: "jones", Prefix: prefix, Dir: t.TempDir()})
	if _, err := other.Survey(t.Context(), mine); !is(err, backup.ErrTwoWriters) {
		t.Errorf("another host's copy: %v", err)
	}
}

func TestOneAtATime(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	job := s.snapshot()
	found := s.survey(job)
	v := s.vault(b)
	_, err := v.Commit(t.Context(), job, found, func(int64, int) {
		if _, err := s.vault(b).Survey(t.Context(), job); !is(err, backup.ErrBusy) {
			t.Errorf("surveyed during a commit: %v", err)
		}
	})
	check(t, err)
}
