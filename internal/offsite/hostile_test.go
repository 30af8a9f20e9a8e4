package offsite_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"triplicate/internal/backup"
	"triplicate/internal/offsite"
)

// forged is a scene with one point, and a way to alter its manifest.
func forged(t *testing.T) (s *scene, plain string, alter func(plain string)) {
	t.Helper()
	b := newBucket()
	s = newScene(t, b)
	s.write("a", "aaa")
	s.write("dir/b", "bbb")
	key := s.commit(s.snapshot()).Manifest
	raw := b.objects[key][0].body
	z, err := gzip.NewReader(bytes.NewReader(raw))
	check(t, err)
	text, err := io.ReadAll(z)
	check(t, err)
	return s, string(text), func(plain string) {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		_, err := z.Write([]byte(plain))
		check(t, err)
		check(t, z.Close())
		b.objects[key][0].body = buf.Bytes()
	}
}

// refuse says that neither a search nor a survey without a cache takes the manifest.
func (s *scene) refuse(what string) {
	s.t.Helper()
	if _, _, err := s.vault(s.bucket).Find(s.t.Context(), dataset, "a", ""); !is(err, backup.ErrManifest) && !is(err, backup.ErrPath) {
		s.t.Errorf("%s: found with %v", what, err)
	}
	s.cache = ramDir(s.t)
	if _, err := s.vault(s.bucket).Survey(s.t.Context(), s.snapshot()); !is(err, backup.ErrManifest) && !is(err, backup.ErrPath) {
		s.t.Errorf("%s: surveyed with %v", what, err)
	}
}

// end is the right trailer for lines, so that only what is in them is wrong.
func end(t *testing.T, lines string) string {
	t.Helper()
	return lines + offsite.Trailer(strings.Count(lines, "\n")-1, []byte(lines))
}

func TestATruncatedManifestIsRefused(t *testing.T) {
	s, plain, alter := forged(t)
	alter(plain)
	if _, _, err := s.vault(s.bucket).Find(t.Context(), dataset, "a", ""); err != nil {
		t.Fatalf("unaltered: %v", err)
	}
	for cut := 0; cut < len(plain); cut += 13 {
		alter(plain[:cut])
		s.refuse("plain text cut")
	}
	b := s.bucket.(*bucket)
	alter(plain)
	for key, versions := range b.objects {
		if !strings.HasSuffix(key, ".gz") {
			continue
		}
		whole := versions[0].body
		for cut := 0; cut < len(whole); cut += 29 {
			versions[0].body = whole[:cut]
			s.refuse("gzip cut")
		}
	}
}

func TestAForgedManifestIsRefused(t *testing.T) {
	s, plain, alter := forged(t)
	lines := strings.SplitAfter(plain, "\n")
	header, rows := lines[0], strings.Join(lines[1:len(lines)-2], "")
	with := func(line string) string { return end(t, header+line+"\n") }
	for what, text := range map[string]string{
		"a row less":            header + strings.Join(lines[2:], ""),
		"a digit of a checksum": strings.Replace(plain, `"size":3`, `"size":4`, 1),
		"another dataset":       end(t, strings.Replace(header, `"hdd/data"`, `"hdd/other"`, 1)+rows),
		"another format":        end(t, strings.Replace(header, `"format":1`, `"format":2`, 1)+rows),
		"another number":        end(t, strings.Replace(header, `"seq":1`, `"seq":7`, 1)+rows),
		"another point":         end(t, strings.Replace(header, `"guid":"1001"`, `"guid":"1"`, 1)+rows),
		"builds on nothing":     end(t, strings.Replace(header, `"created"`, `"base":"smith/manifests/x","created"`, 1)+rows),
		"out of order":          end(t, header+lines[3]+lines[2]),
		"a path twice":          end(t, header+lines[2]+lines[2]),
		"something follows":     plain + "{}\n",
		"two ends":              plain + lines[len(lines)-2],
		"up and out":            with(`{"path":"../../etc/cron.d/x","type":"f"}`),
		"up in the middle":      with(`{"path":"a/../../b","type":"f"}`),
		"absolute":              with(`{"path":"/etc/passwd","type":"f"}`),
		"nul":                   with(`{"path":"a\u0000b","type":"f"}`),
		"empty":                 with(`{"path":"","type":"f"}`),
		"up, hidden in base64":  with(`{"path":"a","path64":"Li4v","type":"f"}`),
		"a type unknown":        with(`{"path":"a","type":"x"}`),
		"a negative size":       with(`{"path":"a","type":"f","size":-1}`),
		"no JSON":               with(`what?`),
		"a number for a path":   with(`{"path":1,"type":"f"}`),
		"a line without an end": header + `{"path":"` + strings.Repeat("x", 3<<20),
		"an endless header":     strings.Repeat(" ", 3<<20) + plain,
		"not a manifest at all": "hello\n",
		"nothing":               "",
	} {
		alter(text)
		s.refuse(what)
	}
}

func TestAKeyOutsideTheDatasetIsNotFetched(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	v := s.vault(b)
	e := backup.Entry{Path: "a", Type: backup.File, Key: "smith/data/hdd/other/@/secret"}
	if err := v.Fetch(t.Context(), dataset, e, io.Discard); !is(err, backup.ErrManifest) {
		t.Errorf("fetched: %v", err)
	}
	if _, err := v.Thaw(t.Context(), dataset, e, backup.Bulk, 1); !is(err, backup.ErrManifest) {
		t.Errorf("thawed: %v", err)
	}
}

func TestContentThatIsNotWhatTheManifestSays(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "content")
	s.commit(s.snapshot())
	v := s.vault(b)
	e, _, err := v.Find(t.Context(), dataset, "a", "")
	check(t, err)
	key := backup.KeyOf(prefix, dataset, e)
	for what, body := range map[string]string{
		"another": "cOntent", "shorter": "conten", "longer": "content, and more", "nothing": "",
	} {
		b.objects[key][0].body = []byte(body)
		var got bytes.Buffer
		if err := v.Fetch(t.Context(), dataset, e, &got); !is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if got.Len() > int(e.Size)+1 {
			t.Errorf("%s: %d bytes written", what, got.Len())
		}
	}
	delete(b.objects, key)
	if err := v.Fetch(t.Context(), dataset, e, io.Discard); !is(err, backup.ErrNotFound) {
		t.Errorf("gone: %v", err)
	}
}

func TestTwoManifestsOfOneNumber(t *testing.T) {
	b := newBucket()
	s := newScene(t, b)
	s.write("a", "aaa")
	s.commit(s.snapshot())
	key := backup.ManifestKey(prefix, dataset, 1, "20261201T000000Z", 5)
	_, err := b.Put(t.Context(), backup.PutSpec{Key: key}, nil)
	check(t, err)
	if _, err := s.vault(b).Survey(t.Context(), s.snapshot()); !is(err, backup.ErrTwoWriters) {
		t.Errorf("survey: %v", err)
	}
}
