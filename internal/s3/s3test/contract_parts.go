package s3test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

func content64(parts ...[]byte) (body []byte, crc string) {
	body = bytes.Join(parts, nil)
	return body, crc64(body)
}

func crc64(body []byte) string {
	h := crc64nvme.New()
	_, _ = h.Write(body)
	return encode(h)
}

// start begins an upload of an object of so many bytes.
func (s Scene) start(t *testing.T, key, class string, size int) (backup.PutSpec, string) {
	t.Helper()
	spec := backup.PutSpec{Key: key, Size: int64(size), Class: class, Metadata: map[string]string{"mtime": "1.5"}}
	id, err := s.Bucket.StartUpload(t.Context(), spec)
	check(t, err, nil)
	return spec, id
}

func (s Scene) part(t *testing.T, key, id string, number int, body []byte) backup.Part {
	t.Helper()
	p, err := s.Bucket.PutPart(t.Context(), key, id, number, body)
	check(t, err, nil)
	return p
}

func testMultipart(t *testing.T, s Scene) {
	one, two := bytes.Repeat([]byte("1"), s.MinPart), []byte("two")
	body, crc := content64(one, two)
	spec, id := s.start(t, "big", "", len(body))
	p2 := s.part(t, "big", id, 2, two)
	s.part(t, "big", id, 1, bytes.Repeat([]byte("x"), s.MinPart))
	p1 := s.part(t, "big", id, 1, one)

	parts, err := s.Bucket.Parts(t.Context(), "big", id)
	check(t, err, nil)
	if len(parts) != 2 || parts[0] != p1 || parts[1] != p2 {
		t.Fatalf("parts: %+v, want %+v and %+v", parts, p1, p2)
	}
	if got := s.list(t, "big"); len(got) != 0 {
		t.Errorf("there before it is complete: %+v", got)
	}
	obj, err := s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc)
	check(t, err, nil)
	got, head := s.read(t, "big", obj.VersionID)
	if got != string(body) || head.CRC64 != crc || head.ETag != obj.ETag || head.Size != spec.Size || head.Metadata["mtime"] != "1.5" {
		t.Errorf("completed: %+v, got: %+v", obj, head)
	}
}

func testCompleted(t *testing.T, s Scene) {
	spec, id := s.start(t, "k", "", 1)
	parts := []backup.Part{s.part(t, "k", id, 1, []byte("x"))}
	_, err := s.Bucket.CompleteUpload(t.Context(), spec, "no-such-upload", parts, crc64([]byte("x")))
	check(t, err, backup.ErrNotFound)
	_, err = s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc64([]byte("x")))
	check(t, err, nil)
	_, err = s.Bucket.Parts(t.Context(), "k", id)
	check(t, err, backup.ErrNotFound)
	_, err = s.Bucket.PutPart(t.Context(), "k", id, 2, []byte("y"))
	check(t, err, backup.ErrNotFound)
	check(t, s.Bucket.AbortUpload(t.Context(), "k", id), nil)
	if got, _ := s.read(t, "k", ""); got != "x" {
		t.Errorf("got %q", got)
	}
}

func testManyParts(t *testing.T, s Scene) {
	_, id := s.start(t, "many", "", 0)
	for n := 1; n <= 7; n++ {
		s.part(t, "many", id, n, []byte(fmt.Sprint(n)))
	}
	parts, err := s.Bucket.Parts(t.Context(), "many", id)
	check(t, err, nil)
	if len(parts) != 7 || parts[6].Number != 7 || parts[6].CRC64 != crc64([]byte("7")) {
		t.Errorf("parts: %+v", parts)
	}
}

func testAbort(t *testing.T, s Scene) {
	_, id := s.start(t, "a", "", 1)
	s.part(t, "a", id, 1, []byte("x"))
	check(t, s.Bucket.AbortUpload(t.Context(), "a", id), nil)
	check(t, s.Bucket.AbortUpload(t.Context(), "a", id), nil)
	_, err := s.Bucket.Parts(t.Context(), "a", id)
	check(t, err, backup.ErrNotFound)
}

func testBadParts(t *testing.T, s Scene) {
	small, last := []byte("small"), []byte("last")
	body, crc := content64(small, last)
	spec, id := s.start(t, "bad", "", len(body))
	parts := []backup.Part{s.part(t, "bad", id, 1, small), s.part(t, "bad", id, 2, last)}
	_, err := s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc)
	check(t, err, backup.ErrRefused) // EntityTooSmall

	large := bytes.Repeat([]byte("l"), s.MinPart)
	body, crc = content64(large, last)
	spec.Size = int64(len(body))
	parts[0] = s.part(t, "bad", id, 1, large)
	foreign := []backup.Part{parts[0], {Number: 2, ETag: parts[0].ETag, Size: parts[1].Size}}
	_, err = s.Bucket.CompleteUpload(t.Context(), spec, id, foreign, crc)
	check(t, err, backup.ErrRefused) // InvalidPart
	_, err = s.Bucket.CompleteUpload(t.Context(), spec, id, []backup.Part{parts[1], parts[0]}, crc)
	check(t, err, backup.ErrRefused) // InvalidPartOrder
	_, err = s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc64(last))
	check(t, err, backup.ErrDamaged)
	if got := s.list(t, "bad"); len(got) != 0 {
		t.Errorf("an object was made of it: %+v", got)
	}
	_, err = s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc)
	check(t, err, nil)
}

func testArchivedParts(t *testing.T, s Scene) {
	spec, id := s.start(t, "pack", "GLACIER", 4)
	parts := []backup.Part{s.part(t, "pack", id, 1, []byte("pack"))}
	obj, err := s.Bucket.CompleteUpload(t.Context(), spec, id, parts, crc64([]byte("pack")))
	check(t, err, nil)
	head, err := s.Bucket.Head(t.Context(), "pack", obj.VersionID)
	check(t, err, nil)
	if head.Class != "GLACIER" || head.CRC64 != obj.CRC64 {
		t.Errorf("head: %+v", head)
	}
	_, _, err = s.Bucket.Get(t.Context(), "pack", "")
	check(t, err, backup.ErrArchived)
	s.send(t, request{method: http.MethodHead, key: "pack"}).header(t, "X-Amz-Server-Side-Encryption", "AES256")
}
