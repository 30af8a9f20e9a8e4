package offsite_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"triplicate/activities"
	"triplicate/internal/backup"
	"triplicate/internal/offsite"
)

var _ activities.Vault = (*offsite.Vault)(nil)

const (
	prefix  = "smith"
	dataset = "hdd/data"
	guid    = backup.GUID(4711)
)

// scene is a dataset, its snapshots as folders, a bucket and a cache.
type scene struct {
	t      testing.TB
	bucket offsite.Bucket
	cache  string
	dir    string // the dataset's files
	points int
	class  string
}

func newScene(t testing.TB, b offsite.Bucket) *scene {
	return &scene{t: t, bucket: b, cache: ramDir(t), dir: ramDir(t), class: "STANDARD"}
}

// ramDir is a folder in memory where there is one: hundreds of kills would wait
// minutes for a disk.
func ramDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "offsite") //nolint:usetesting // TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

// vault opens the copy anew, as a new process does.
func (s *scene) vault(b offsite.Bucket) *offsite.Vault {
	return offsite.New(offsite.Config{
		Bucket: b, Host: "smith", Prefix: prefix, Class: s.class, Dir: s.cache, Workers: 4,
		Now: func() time.Time { return time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC) },
	}).Small(1000, 400)
}

// snapshot is a job for the files as they are: the folder itself stands for the
// mounted snapshot, for a test changes nothing while a step runs.
func (s *scene) snapshot() backup.OffsiteJob {
	// Directories get a time of their own, so that they change only when meant to.
	check(s.t, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))
		}
		return err
	}))
	s.points++
	stamp := backup.StampOf(time.Date(2026, 11, s.points, 3, 0, 0, 0, time.UTC))
	return backup.OffsiteJob{
		Dataset: backup.Dataset{Name: dataset, Type: backup.Filesystem, GUID: guid},
		Snapshot: backup.Snapshot{
			Dataset: dataset, Name: backup.SnapshotName("smith", stamp), GUID: backup.GUID(1000 + s.points),
		},
		Stamp: stamp, Dir: s.dir,
	}
}

// write makes a file with a time of its own.
func (s *scene) write(name, content string) {
	s.t.Helper()
	path := s.dir + "/" + name
	check(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(s.t, os.WriteFile(path, []byte(content), 0o640))
	s.touch(name, time.Unix(1_700_000_000, int64(len(content))))
}

func (s *scene) touch(name string, at time.Time) {
	s.t.Helper()
	check(s.t, os.Chtimes(s.dir+"/"+name, at, at))
}

func (s *scene) remove(name string) {
	s.t.Helper()
	check(s.t, os.RemoveAll(s.dir+"/"+name))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// survey surveys, which must work.
func (s *scene) survey(job backup.OffsiteJob) backup.Survey {
	s.t.Helper()
	got, err := s.vault(s.bucket).Survey(s.t.Context(), job)
	check(s.t, err)
	return got
}

// commit surveys and commits, which must work.
func (s *scene) commit(job backup.OffsiteJob) backup.OffsiteResult {
	s.t.Helper()
	v := s.vault(s.bucket)
	found, err := v.Survey(s.t.Context(), job)
	check(s.t, err)
	res, err := v.Commit(s.t.Context(), job, found, nil)
	check(s.t, err)
	return res
}

// verify compares every file of the folder with the newest point of the copy, found
// and fetched without a cache, and says that nothing else is in it.
func (s *scene) verify() {
	s.t.Helper()
	if diff := s.compareAt(""); diff != "" {
		s.t.Fatal(diff)
	}
}

func (s *scene) compareAt(at backup.Stamp) string {
	s.t.Helper()
	blind := offsite.New(offsite.Config{Bucket: s.bucket, Host: "smith", Prefix: prefix, Dir: "/nowhere"})
	_, h, err := blind.Find(s.t.Context(), dataset, ".", at)
	check(s.t, err)
	rows, err := blind.State(s.t.Context(), ramDir(s.t), dataset, at)
	check(s.t, err)
	var wrong []string
	counts := backup.Counts{}
	for rel, want := range s.tree() {
		counts.Add(want)
		got, there := rows[rel]
		delete(rows, rel)
		if !there || !backup.SameEntry(got, want) {
			wrong = append(wrong, fmt.Sprintf("%q: got %+v, want %+v", rel, got, want))
			continue
		}
		if want.Type.HasObject() {
			wrong = append(wrong, s.compareContent(blind, s.dir+"/"+rel, got)...)
		}
	}
	for path := range rows {
		wrong = append(wrong, fmt.Sprintf("%q is in the copy only", path))
	}
	if counts != h.Counts {
		wrong = append(wrong, fmt.Sprintf("counts %+v, want %+v", h.Counts, counts))
	}
	return strings.Join(wrong, "\n")
}

func (s *scene) compareContent(v *offsite.Vault, path string, e backup.Entry) []string {
	var got bytes.Buffer
	if err := v.Fetch(s.t.Context(), dataset, e, &got); err != nil {
		return []string{err.Error()}
	}
	want := e.Target
	if e.Type == backup.File {
		b, err := os.ReadFile(path)
		check(s.t, err)
		want = string(b)
	}
	if got.String() != want {
		return []string{fmt.Sprintf("%q: content %.40q, want %.40q", path, got.String(), want)}
	}
	return nil
}

// tree is what the folder holds, by path.
func (s *scene) tree() map[string]backup.Entry {
	s.t.Helper()
	all := map[string]backup.Entry{}
	check(s.t, filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		check(s.t, err)
		rel, err := filepath.Rel(s.dir, path)
		check(s.t, err)
		all[rel] = s.entry(path, rel)
		return nil
	}))
	return all
}

func (s *scene) entry(path, rel string) backup.Entry {
	var st syscall.Stat_t
	check(s.t, syscall.Lstat(path, &st))
	e := backup.Entry{Path: rel, Mtime: st.Mtim.Nano(), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		e.Type, e.Size = backup.File, st.Size
	case syscall.S_IFDIR:
		e.Type = backup.Dir
	case syscall.S_IFLNK:
		e.Type = backup.Symlink
		target, err := os.Readlink(path)
		check(s.t, err)
		e.Target, e.Size = target, int64(len(target))
	default:
		e.Type = backup.Special
	}
	return e
}

// oneVersionEach says that no object of content has more than one version.
func oneVersionEach(t *testing.T, b *bucket) {
	t.Helper()
	for key, n := range b.keys(prefix + "/data/") {
		if n != 1 {
			t.Errorf("%s has %d versions", key, n)
		}
	}
}

func (s *scene) manifests(b *bucket) int { return len(b.keys(backup.ManifestsPrefix(prefix))) }
