package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// large puts a file in parts, or goes on with an upload that was begun.
func (u *upload) large(ctx context.Context, n int, t task) (o stored, err error) {
	if stray := u.strays[n]; stray != nil {
		same, crc, err := u.isObject(ctx, t, stray)
		if err != nil || same {
			return stored{*stray, crc, same}, readError(err)
		}
	}
	f, err := u.tree.open(t.Entry)
	if err != nil {
		return o, readError(err)
	}
	defer f.Close()
	spec := u.spec(t, u.strays[n])
	begun, arrived, err := u.begin(ctx, n, spec)
	if err != nil {
		return o, err
	}
	p := &parted{bucket: u.Bucket, memory: u.memory, spec: spec, upload: begun, arrived: arrived}
	o.Object, o.crc, err = p.put(ctx, f)
	if errors.As(err, new(unread)) {
		// Its parts would cost until the bucket's own rule removes them.
		if aborted := u.Bucket.AbortUpload(ctx, spec.Key, begun.Upload); aborted != nil {
			return o, aborted
		}
	}
	return o, err
}

// begin finds the upload that an earlier call began, and which of its parts arrived,
// or begins one. Its ID is noted before the first part is put.
func (u *upload) begin(ctx context.Context, n int, spec backup.PutSpec) (record, map[int]backup.Part, error) {
	if r, ok := u.journal.upload(n); ok {
		parts, err := u.Bucket.Parts(ctx, r.Key, r.Upload)
		if err == nil {
			arrived := make(map[int]backup.Part, len(parts))
			for _, p := range parts {
				arrived[p.Number] = p
			}
			return r, arrived, nil
		}
		// Not found: the bucket's own rule aborted it, or it was completed; then the
		// listing would have shown the object.
		if !errors.Is(err, backup.ErrNotFound) {
			return r, nil, err
		}
	}
	id, err := u.Bucket.StartUpload(ctx, spec)
	if err != nil {
		return record{}, nil, err
	}
	r := record{N: n, Key: spec.Key, Upload: id, Part: u.partSize(spec.Size)}
	return r, nil, u.journal.add(r)
}

// isObject says whether an object has the file's content.
func (u *upload) isObject(ctx context.Context, t task, o *backup.Object) (bool, string, error) {
	f, err := u.tree.open(t.Entry)
	if err != nil {
		return false, "", err
	}
	defer f.Close()
	size := u.partSize(t.Entry.Size)
	buf, err := u.memory.get(ctx, size)
	if err != nil {
		return false, "", err
	}
	defer u.memory.put(buf)
	var tag etag
	crc := crc64nvme.New()
	for left := t.Entry.Size; left > 0; left -= size {
		if ctx.Err() != nil {
			return false, "", context.Cause(ctx)
		}
		b := buf[:min(size, left)]
		if _, err := io.ReadFull(f, b); err != nil {
			return false, "", fmt.Errorf("read %q: %w", t.Entry.Path, err)
		}
		tag.add(b)
		_, _ = crc.Write(b)
	}
	return tag.String() == o.ETag, sum64(crc), nil
}

// parted is one multipart upload.
type parted struct {
	bucket  Bucket
	memory  *memory
	spec    backup.PutSpec
	upload  record
	arrived map[int]backup.Part // by number: put by an earlier call
	once    bool                // what is there already stays
}

// put reads the content once, in order, for its checksum, and puts the parts as the
// memory budget allows.
func (p *parted) put(parent context.Context, content io.Reader) (backup.Object, string, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	size := p.upload.Part
	parts := make([]backup.Part, (p.spec.Size+size-1)/size)
	crc := crc64nvme.New()
	var flying sync.WaitGroup
	err := func() error {
		for i, left := 0, p.spec.Size; left > 0; i, left = i+1, left-size {
			buf, err := p.memory.get(ctx, min(size, left))
			if err != nil {
				return err
			}
			if _, err := io.ReadFull(content, buf); err != nil {
				p.memory.put(buf)
				return readError(fmt.Errorf("read part %d: %w", i+1, err))
			}
			_, _ = crc.Write(buf)
			if a, ok := p.arrived[i+1]; ok && a.Size == int64(len(buf)) && a.ETag == md5Of(buf) {
				p.memory.put(buf)
				parts[i] = a
				continue
			}
			flying.Go(func() {
				defer p.memory.put(buf)
				var err error
				if parts[i], err = p.bucket.PutPart(ctx, p.spec.Key, p.upload.Upload, i+1, buf); err != nil {
					cancel(err)
				}
			})
		}
		return nil
	}()
	flying.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return backup.Object{}, "", cause
	}
	if err != nil {
		return backup.Object{}, "", err
	}
	whole := sum64(crc)
	o, err := p.bucket.CompleteUpload(ctx, p.spec, p.upload.Upload, parts, whole)
	if errors.Is(err, backup.ErrExists) && !p.once {
		p.spec.IfAbsent = false
		o, err = p.bucket.CompleteUpload(ctx, p.spec, p.upload.Upload, parts, whole)
	}
	return o, whole, err
}
