package offsite_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

// oddTree is what a filesystem can hold and a bucket finds hard.
func oddTree(s *scene) {
	s.t.Helper()
	for _, name := range []string{
		"plain", "with blank", " leading and trailing ", "new\nline", "-rf", "ta\tb", "per%20cent+plus&amp;<x>",
		"caf\u00e9", "cafe\u0301", "\xff\xfe not utf-8", "half \xe2\x80", "\u201b", "\u201b\u201b", "\u201bFF", "\uff0e", "\u2400",
		"dir/inner", "dir.txt", "dir-txt", "dir/deep/er/file", "a.rclonelink", ".hidden", "...", "~", "dir/\xff/x", "\u201b/x", "\u201b\u201bd/x",
		strings.Repeat("n", 255), strings.Repeat("\xfe", 255),
	} {
		if name == "\u201b/x" {
			name = "\u201b.d/x"
		}
		s.write(name, "content of "+name)
	}
	s.write("zero", "")
	s.write("exactly one part less one", strings.Repeat("x", 999))
	s.write("large", strings.Repeat("0123456789", 250)) // 2500 bytes: 7 parts
	s.write("large and even", strings.Repeat("abcd", 300))
	s.write("before 1970", "old")
	s.touch("before 1970", time.Unix(-86400*365, 123456789))
	check(s.t, os.Mkdir(s.dir+"/empty", 0o700))
	check(s.t, os.Mkdir(s.dir+"/empty/too", 0o711))
	check(s.t, os.Symlink("../else/where", s.dir+"/link"))
	check(s.t, os.Symlink("plain", s.dir+"/a")) // beside the file a.rclonelink
	check(s.t, os.Symlink("\xff/\n", s.dir+"/link to odd"))
	check(s.t, syscall.Mkfifo(s.dir+"/pipe", 0o600))
	check(s.t, os.Chmod(s.dir+"/plain", 0o4755))
}

func TestWhatIsCommittedComesBack(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	oddTree(s)
	job := s.snapshot()
	found := s.survey(job)
	if found.Before != nil || found.Counts.Specials != 1 || found.Special[0] != "pipe" || found.Change.Large != 2 || found.Change.Parts != 7+3 {
		t.Errorf("survey: %+v", found)
	}
	var last int
	v := s.vault(b)
	res, err := v.Commit(t.Context(), job, found, func(_ int64, objects int) { last = objects })
	check(t, err)
	if res.Objects != found.Change.Upload || res.Bytes != found.Change.UploadBytes || res.FailedCount != 0 || last != found.Change.Upload {
		t.Errorf("commit: %+v, progress %d, of a survey of %+v", res, last, found.Change)
	}
	if res.Header.Seq != 1 || res.Header.Base != "" || res.Header.Counts != found.Counts {
		t.Errorf("header: %+v", res.Header)
	}
	s.verify()
	oneVersionEach(t, b)
	points, err := v.Points(t.Context())
	check(t, err)
	want := []backup.OffsitePoint{{
		Dataset: dataset, Seq: 1, Stamp: job.Stamp, Point: job.Snapshot.GUID, Key: res.Manifest, Written: points[0].Written,
	}}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Error(diff)
	}
}

// Keys and metadata are rclone's, but for what rclone could not bring back.
func TestObjectsAreRclones(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.class = "GLACIER"
	oddTree(s)
	s.commit(s.snapshot())
	data := backup.DataPrefix(prefix, dataset)
	keys := b.keys(data)
	for _, want := range []string{
		"plain", "new\nline", "cafe\u0301", "\u201bFF\u201bFE not utf-8", "half \u201bE2\u201b80", "\u201b\u201b", "\uff0e",
		"link.rclonelink", "a.rclonelink", "dir/\u201bFF/x", "large",
	} {
		if keys[data+want] != 1 {
			t.Errorf("no object %q", want)
		}
	}
	// "‛", "‛FF", "‛.d/x", 255 bytes that are not UTF-8, and the file a.rclonelink;
	// "‛‛d/x" rclone can write.
	if other := b.keys(backup.OtherPrefix(prefix, dataset)); len(other) != 5 {
		t.Errorf("%d objects outside rclone's layout: %v", len(other), other)
	}
	old, err := b.Head(t.Context(), data+"before 1970", "")
	check(t, err)
	if old.Class != "GLACIER" || old.Metadata["mtime"] != "-31535999.876543211" || old.Metadata["mode"] != "100640" {
		t.Errorf("object: %+v", old)
	}
	link, err := b.Head(t.Context(), data+"link.rclonelink", "")
	check(t, err)
	if link.Size != int64(len("../else/where")) || link.Metadata["mode"] != "120777" {
		t.Errorf("link: %+v", link)
	}
	for key := range b.keys(backup.ManifestsPrefix(prefix)) {
		m, err := b.Head(t.Context(), key, "")
		check(t, err)
		if m.Class != "STANDARD" {
			t.Errorf("%s has class %s", key, m.Class)
		}
	}
}

func TestAnEmptyDatasetHasAManifest(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	if res := s.commit(s.snapshot()); res.Objects != 0 || res.Header.Counts != (backup.Counts{Dirs: 1}) {
		t.Errorf("%+v", res)
	}
	s.verify()
}

func TestAnArchivedFileIsThawedFirst(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.class = "GLACIER"
	s.write("film", "content")
	s.commit(s.snapshot())
	v := s.vault(b)
	e, _, err := v.Find(t.Context(), dataset, "film", "")
	check(t, err)
	if err := v.Fetch(t.Context(), dataset, e, new(strings.Builder)); !is(err, backup.ErrArchived) {
		t.Errorf("fetched from the archive: %v", err)
	}
	r, err := v.Thaw(t.Context(), dataset, e, backup.Bulk, 3)
	check(t, err)
	if r.Ongoing || r.Until.IsZero() {
		t.Errorf("restore: %+v", r)
	}
	var got strings.Builder
	check(t, v.Fetch(t.Context(), dataset, e, &got))
	if got.String() != "content" {
		t.Errorf("got %q", got.String())
	}
}
