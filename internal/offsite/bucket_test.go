package offsite_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// bucket is a bucket with versions, in memory: small and strict. internal/s3 is held
// to the same tests where what is asked of S3 matters (s3_test.go).
type bucket struct {
	mu       sync.Mutex
	objects  map[string][]version // newest last
	uploads  map[string]map[int][]byte
	serial   int
	now      time.Time
	requests int64
	calls    map[string]int
}

type version struct {
	backup.Object
	body []byte
}

func newBucket() *bucket {
	return &bucket{
		objects: map[string][]version{}, uploads: map[string]map[int][]byte{}, calls: map[string]int{},
		now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC),
	}
}

func (b *bucket) call(name string) func() {
	b.mu.Lock()
	b.requests++
	b.calls[name]++
	return b.mu.Unlock
}

func hexMD5(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

func crc(body []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(body)))
}

func (b *bucket) Put(_ context.Context, spec backup.PutSpec, body []byte) (backup.Object, error) {
	defer b.call("Put")()
	return b.add(spec, body, hexMD5(body))
}

func (b *bucket) add(spec backup.PutSpec, body []byte, etag string) (backup.Object, error) {
	if spec.Size != int64(len(body)) {
		return backup.Object{}, fmt.Errorf("size %d of %d bytes", spec.Size, len(body))
	}
	if spec.IfAbsent && len(b.objects[spec.Key]) > 0 {
		return backup.Object{}, backup.ErrExists
	}
	b.serial++
	b.now = b.now.Add(time.Second)
	o := backup.Object{
		Key: spec.Key, VersionID: fmt.Sprintf("v%06d", b.serial), Size: spec.Size, ETag: etag, CRC64: crc(body),
		Class: spec.Class, Modified: b.now, Metadata: spec.Metadata,
	}
	b.objects[spec.Key] = append(b.objects[spec.Key], version{o, bytes.Clone(body)})
	return o, nil
}

func (b *bucket) StartUpload(context.Context, backup.PutSpec) (string, error) {
	defer b.call("StartUpload")()
	b.serial++
	id := fmt.Sprintf("u%06d", b.serial)
	b.uploads[id] = map[int][]byte{}
	return id, nil
}

func (b *bucket) PutPart(_ context.Context, _, id string, number int, body []byte) (backup.Part, error) {
	defer b.call("PutPart")()
	if b.uploads[id] == nil {
		return backup.Part{}, backup.ErrNotFound
	}
	b.uploads[id][number] = bytes.Clone(body)
	return partOf(number, body), nil
}

func partOf(number int, body []byte) backup.Part {
	return backup.Part{Number: number, ETag: hexMD5(body), Size: int64(len(body)), CRC64: crc(body)}
}

func (b *bucket) Parts(_ context.Context, _, id string) ([]backup.Part, error) {
	defer b.call("Parts")()
	if b.uploads[id] == nil {
		return nil, backup.ErrNotFound
	}
	var parts []backup.Part
	for n, body := range b.uploads[id] {
		parts = append(parts, partOf(n, body))
	}
	return parts, nil
}

func (b *bucket) CompleteUpload(_ context.Context, spec backup.PutSpec, id string, parts []backup.Part, sum string) (backup.Object, error) {
	defer b.call("CompleteUpload")()
	if b.uploads[id] == nil {
		return backup.Object{}, backup.ErrNotFound
	}
	var whole, sums []byte
	for i, p := range parts {
		body := b.uploads[id][p.Number]
		if p.Number != i+1 || hexMD5(body) != p.ETag {
			return backup.Object{}, fmt.Errorf("part %d is not what was put", p.Number)
		}
		digest := md5.Sum(body)
		whole, sums = append(whole, body...), append(sums, digest[:]...)
	}
	if crc(whole) != sum {
		return backup.Object{}, backup.ErrDamaged
	}
	o, err := b.add(spec, whole, fmt.Sprintf("%s-%d", hexMD5(sums), len(parts)))
	if err == nil {
		delete(b.uploads, id)
	}
	return o, err
}

func (b *bucket) AbortUpload(_ context.Context, _, id string) error {
	defer b.call("AbortUpload")()
	delete(b.uploads, id)
	return nil
}

// page is as many rows as a listing hands out while the bucket may change.
func (b *bucket) list(prefix string, all bool) []backup.Object {
	var keys []string
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var out []backup.Object
	for _, key := range keys {
		versions := b.objects[key]
		for i := len(versions) - 1; i >= 0; i-- {
			o := versions[i].Object
			o.Latest, o.CRC64, o.Metadata = i == len(versions)-1, "", nil
			if all || (o.Latest && !o.Marker) {
				out = append(out, o)
			}
		}
	}
	return out
}

func (b *bucket) Versions(_ context.Context, prefix string, each func(backup.Object) error) error {
	unlock := b.call("Versions")
	out := b.list(prefix, true)
	unlock()
	return eachOf(out, each)
}

func (b *bucket) List(_ context.Context, prefix string, each func(backup.Object) error) error {
	unlock := b.call("List")
	out := b.list(prefix, false)
	unlock()
	return eachOf(out, each)
}

func eachOf(objects []backup.Object, each func(backup.Object) error) error {
	for _, o := range objects {
		if err := each(o); err != nil {
			return err
		}
	}
	return nil
}

func (b *bucket) find(key, id string) (version, error) {
	versions := b.objects[key]
	for i := len(versions) - 1; i >= 0; i-- {
		if id == "" || versions[i].VersionID == id {
			return versions[i], nil
		}
	}
	return version{}, fmt.Errorf("%s %s: %w", key, id, backup.ErrNotFound)
}

func (b *bucket) Get(_ context.Context, key, id string) (io.ReadCloser, backup.Object, error) {
	defer b.call("Get")()
	v, err := b.find(key, id)
	if err != nil {
		return nil, backup.Object{}, err
	}
	if v.Class == "GLACIER" && v.Restore.Until.IsZero() {
		return nil, v.Object, backup.ErrArchived
	}
	return io.NopCloser(bytes.NewReader(v.body)), v.Object, nil
}

func (b *bucket) Head(_ context.Context, key, id string) (backup.Object, error) {
	defer b.call("Head")()
	v, err := b.find(key, id)
	return v.Object, err
}

func (b *bucket) Thaw(_ context.Context, key, id string, _ backup.Tier, days int) error {
	defer b.call("Thaw")()
	for i, v := range b.objects[key] {
		if v.VersionID == id {
			b.objects[key][i].Restore.Until = b.now.AddDate(0, 0, days)
			return nil
		}
	}
	return backup.ErrNotFound
}

func (b *bucket) Requests() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// count is how many calls of a name there were since the last count.
func (b *bucket) count(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.calls[name]
	delete(b.calls, name)
	return n
}

// keys lists what is below a prefix, with the number of versions.
func (b *bucket) keys(prefix string) map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := map[string]int{}
	for key, versions := range b.objects {
		if strings.HasPrefix(key, prefix) {
			keys[key] = len(versions)
		}
	}
	return keys
}

// errCut is what a cut-off process sees of the network.
var errCut = errors.New("cut off")

// cut is a bucket whose client dies at its n-th call: before the call is carried
// out, or after it, when the answer is lost. Nothing gets through from then on.
type cut struct {
	*bucket
	mu    sync.Mutex
	calls int
	at    int
	after bool
	last  string // the call it died at
}

// through carries a call out, or not.
func (c *cut) through(name string, do func() error) error {
	c.mu.Lock()
	c.calls++
	n := c.calls
	if n == c.at {
		c.last = name
	}
	c.mu.Unlock()
	switch {
	case n > c.at || (n == c.at && !c.after):
		return errCut
	case n == c.at:
		_ = do()
		return errCut
	}
	return do()
}

func (c *cut) Put(ctx context.Context, spec backup.PutSpec, body []byte) (o backup.Object, err error) {
	err = c.through("Put", func() (err error) { o, err = c.bucket.Put(ctx, spec, body); return err })
	return o, err
}

func (c *cut) StartUpload(ctx context.Context, spec backup.PutSpec) (id string, err error) {
	err = c.through("StartUpload", func() (err error) { id, err = c.bucket.StartUpload(ctx, spec); return err })
	return id, err
}

func (c *cut) PutPart(ctx context.Context, key, id string, n int, body []byte) (p backup.Part, err error) {
	err = c.through("PutPart", func() (err error) { p, err = c.bucket.PutPart(ctx, key, id, n, body); return err })
	return p, err
}

func (c *cut) Parts(ctx context.Context, key, id string) (p []backup.Part, err error) {
	err = c.through("Parts", func() (err error) { p, err = c.bucket.Parts(ctx, key, id); return err })
	return p, err
}

func (c *cut) CompleteUpload(ctx context.Context, spec backup.PutSpec, id string, parts []backup.Part, sum string) (o backup.Object, err error) {
	err = c.through("CompleteUpload", func() (err error) { o, err = c.bucket.CompleteUpload(ctx, spec, id, parts, sum); return err })
	return o, err
}

func (c *cut) AbortUpload(ctx context.Context, key, id string) error {
	return c.through("AbortUpload", func() error { return c.bucket.AbortUpload(ctx, key, id) })
}

func (c *cut) Versions(ctx context.Context, prefix string, each func(backup.Object) error) error {
	return c.through("Versions", func() error { return c.bucket.Versions(ctx, prefix, each) })
}

func (c *cut) List(ctx context.Context, prefix string, each func(backup.Object) error) error {
	return c.through("List", func() error { return c.bucket.List(ctx, prefix, each) })
}

func (c *cut) Get(ctx context.Context, key, id string) (r io.ReadCloser, o backup.Object, err error) {
	err = c.through("Get", func() (err error) { r, o, err = c.bucket.Get(ctx, key, id); return err })
	return r, o, err
}
