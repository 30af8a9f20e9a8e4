package offsite_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"triplicate/internal/backup"
)

// A file that cannot be read: gone after the survey is the nearest thing to a
// damaged block that a test can make.
func TestAFileThatCannotBeReadKeepsItsOldCopy(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "old")
	s.write("b", "bbb")
	s.write("film", strings.Repeat("old", 500))
	s.commit(s.snapshot())
	s.write("a", "newer")
	s.write("b", "newer")
	s.write("c", "new")
	s.write("film", strings.Repeat("newer", 500))
	job := s.snapshot()
	v := s.vault(b)
	found, err := v.Survey(t.Context(), job)
	check(t, err)
	for _, name := range []string{"a", "c", "film"} {
		s.remove(name)
	}
	res, err := v.Commit(t.Context(), job, found, nil)
	check(t, err)
	if res.FailedCount != 3 || len(res.Failed) != 3 || res.Header.Failed != 3 || res.Objects != 1 {
		t.Errorf("%+v", res)
	}
	for name, want := range map[string]string{"a": "old", "b": "newer", "film": strings.Repeat("old", 500)} {
		e, _, err := v.Find(t.Context(), dataset, name, "")
		check(t, err)
		var got strings.Builder
		check(t, v.Fetch(t.Context(), dataset, e, &got))
		if got.String() != want {
			t.Errorf("%s: %.20q, want %.20q", name, got.String(), want)
		}
	}
	if _, _, err := v.Find(t.Context(), dataset, "c", ""); !is(err, backup.ErrNotFound) {
		t.Errorf("a file that was never read is in the manifest: %v", err)
	}
	// Readable again, they are uploaded, even if nothing else changed.
	s.write("a", "newer")
	s.write("c", "new")
	s.write("film", strings.Repeat("newer", 500))
	if res := s.commit(s.snapshot()); res.Objects != 3 || res.Header.Failed != 0 {
		t.Errorf("%+v", res)
	}
	s.verify()
}

func TestASnapshotThatChangesIsNone(t *testing.T) {
	for name, change := range map[string]func(s *scene){
		"longer":         func(s *scene) { s.write("a", "longer than before") },
		"another time":   func(s *scene) { s.touch("a", time.Unix(7, 7)) },
		"a symlink":      func(s *scene) { s.remove("a"); check(s.t, os.Symlink("b", s.dir+"/a")) },
		"a link outside": func(s *scene) { s.remove("a"); check(s.t, os.Symlink("/etc/passwd", s.dir+"/a")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBucket()
			s := newScene(t, b)
			s.write("a", "aaa")
			s.write("b", "longer")
			job := s.snapshot()
			v := s.vault(b)
			found, err := v.Survey(t.Context(), job)
			check(t, err)
			change(s)
			res, err := v.Commit(t.Context(), job, found, nil)
			if err == nil && res.FailedCount != 1 {
				t.Errorf("committed: %+v", res)
			}
			if n := b.keys(backup.DataPrefix(prefix, dataset) + "a"); len(n) != 0 {
				t.Errorf("uploaded: %v", n)
			}
		})
	}
}

func TestAWalkStaysInsideItsDataset(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	outside := t.TempDir()
	check(t, os.WriteFile(outside+"/secret", []byte("secret"), 0o600))
	check(t, os.Symlink(outside, s.dir+"/folder"))
	check(t, os.Symlink(outside+"/secret", s.dir+"/file"))
	s.write(".zfs/snapshot/x/file", "of another snapshot")
	if c := s.commit(s.snapshot()).Header.Counts; c != (backup.Counts{Symlinks: 2, Dirs: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestACancelledCommitGoesOnLater(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		s.write(name, name)
	}
	job := s.snapshot()
	v := s.vault(b)
	found, err := v.Survey(t.Context(), job)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = v.Commit(ctx, job, found, func(_ int64, objects int) {
		if objects == 5 {
			cancel()
		}
	})
	if !is(err, context.Canceled) {
		t.Fatalf("commit: %v", err)
	}
	done := len(b.keys(prefix + "/data/"))
	res, err := v.Commit(t.Context(), job, found, nil)
	check(t, err)
	if res.Objects+res.Adopted > 26-5 || res.Objects != 26-done {
		t.Errorf("%d were done, then %+v", done, res)
	}
	s.verify()
	oneVersionEach(t, b)
}

func TestASurveyOfAnotherPointIsStale(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	old := s.snapshot()
	found := s.survey(old)
	s.write("b", "bbb")
	job := s.snapshot()
	for name, commit := range map[string]func() error{
		"another job": func() error { _, err := s.vault(b).Commit(t.Context(), job, found, nil); return err },
		"a lost cache": func() error {
			s.cache = ramDir(t)
			_, err := s.vault(b).Commit(t.Context(), old, found, nil)
			return err
		},
		"another list": func() error {
			s.survey(job)
			_, err := s.vault(b).Commit(t.Context(), job, found, nil)
			return err
		},
	} {
		if err := commit(); !is(err, backup.ErrStale) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.count("Put"); n != 0 {
		t.Errorf("%d objects put", n)
	}
}

// The manifest lies on disk until it is put, and is never replaced afterwards.
func TestAManifestThatWentBadOnDiskIsNotPut(t *testing.T) {
	s, b := killScene(t)
	job := s.snapshot()
	if err := s.attempt(&noManifest{b}, job); !is(err, errCut) {
		t.Fatal(err)
	}
	name := s.cached("manifest.gz")
	raw, err := os.ReadFile(name)
	check(t, err)
	raw[len(raw)/2] ^= 1
	check(t, os.WriteFile(name, raw, 0o600))
	if err := s.attempt(b, job); !is(err, backup.ErrManifest) || s.manifests(b) != 1 {
		t.Errorf("put: %v, %d manifests", err, s.manifests(b))
	}
	check(t, s.attempt(b, job))
	s.verify()
	wantVersions(t, s, b)
}
