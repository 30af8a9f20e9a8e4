package offsite

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"

	"triplicate/internal/backup"
)

// What is to be done about a row.
const (
	put  = "put"  // upload its content
	meta = "meta" // its row changes, its object stays
	gone = "gone" // it is no longer there
)

// task is one row of the work list: what is to be done, and the entry as the next
// manifest is to have it (but for what an upload adds).
type task struct {
	Do    string       `json:"do"`
	Entry backup.Entry `json:"entry"`
	// Was is the version that the last manifest has for the key; empty: it knows none.
	Was string `json:"was,omitempty"`
}

// comparison merges three sorted streams: the walk, the last manifest's state and,
// if objects may exist that no manifest knows, the bucket's own listing.
type comparison struct {
	ctx     context.Context
	stamp   backup.Stamp
	tree    *tree
	buf     []byte
	objects *listing // nil: the manifest tells all
	kept    string   // path below which nothing could be read
	large   int64    // size from which a file is uploaded in parts
	parts   func(size int64) int64
	survey  *backup.Survey
	emit    func(task) error
}

func (c *comparison) run(walk interface{ next() (found, error) }, catalog rows) error {
	state := ahead{rows: catalog}
	for {
		f, err := walk.next()
		atEnd := errors.Is(err, io.EOF)
		if err != nil && !atEnd {
			return err
		}
		for {
			r, has, err := state.peek()
			if err != nil {
				return err
			}
			if !has || (!atEnd && r.order >= f.order) {
				break
			}
			if err := c.missing(r); err != nil {
				return err
			}
			state.take()
		}
		if atEnd {
			return nil
		}
		var old *backup.Entry
		if r, has, _ := state.peek(); has && r.order == f.order {
			old = &r.Entry
			state.take()
		}
		if err := c.present(f, old); err != nil {
			return err
		}
	}
}

// missing deals with what the manifest has and the walk did not see.
func (c *comparison) missing(r row) error {
	if r.Gone != "" {
		return nil
	}
	if c.kept != "" && (c.kept == "." || r.Path == c.kept || strings.HasPrefix(r.Path, c.kept+"/")) {
		c.survey.Counts.Add(r.Entry)
		return nil
	}
	e := r.Entry
	e.Gone = c.stamp
	if r.Type.HasObject() {
		c.survey.Change.Gone++
		c.survey.Change.GoneBytes += sizeOf(r.Entry)
	} else {
		c.survey.Change.Meta++
	}
	return c.emit(task{Do: gone, Entry: e})
}

func sizeOf(e backup.Entry) int64 {
	if e.Type == backup.File {
		return e.Size
	}
	return 0
}

// present deals with what the walk saw.
func (c *comparison) present(f found, old *backup.Entry) error {
	if f.err != nil {
		return c.unread(f, old)
	}
	c.survey.Counts.Add(f.Entry)
	if f.Type == backup.Special && len(c.survey.Special) < backup.MaxNamed {
		c.survey.Special = append(c.survey.Special, f.Path)
	}
	if !f.Type.HasObject() {
		if old == nil || !backup.SameEntry(*old, f.Entry) {
			return c.meta(f.Entry)
		}
		return nil
	}
	hidden, err := c.hidden(f, old)
	if err != nil {
		return err
	}
	if old != nil && !hidden {
		if backup.SameEntry(*old, f.Entry) {
			return nil
		}
		same, err := c.sameContent(f, old)
		if err != nil {
			return c.unreadError(f, old, err)
		}
		if same {
			return c.meta(with(f.Entry, *old))
		}
	}
	return c.upload(f.Entry, old)
}

// with is an entry whose content the bucket holds already.
func with(e, old backup.Entry) backup.Entry {
	e.Key, e.Version, e.CRC64, e.Since = old.Key, old.Version, old.CRC64, old.Since
	return e
}

func (c *comparison) meta(e backup.Entry) error {
	c.survey.Change.Meta++
	return c.emit(task{Do: meta, Entry: e})
}

func (c *comparison) upload(e backup.Entry, old *backup.Entry) error {
	ch := &c.survey.Change
	ch.Upload++
	ch.UploadBytes += sizeOf(e)
	if e.Type == backup.File && e.Size >= c.large {
		size := c.parts(e.Size)
		ch.Large, ch.Parts = ch.Large+1, ch.Parts+int((e.Size+size-1)/size)
	}
	t := task{Do: put, Entry: e}
	t.Entry.Since = c.stamp
	if old != nil {
		t.Was = cmp.Or(old.Version, unversioned)
		if old.Gone == "" {
			ch.Replace++
			ch.GoneBytes += sizeOf(*old)
		}
	}
	return c.emit(t)
}

// sameContent says whether the object of the old row, a tombstone's too, has the
// file's content. Where only the time tells them apart, the file is read: touch -R
// must not upload an archive again.
func (c *comparison) sameContent(f found, old *backup.Entry) (bool, error) {
	switch {
	case old.Size != f.Size || old.Target != f.Target:
		return false, nil
	case f.Type == backup.Symlink || backup.SameContent(*old, f.Entry):
		return true, nil
	case old.CRC64 == "":
		return false, nil
	}
	crc, err := c.tree.checksum(c.ctx, f.Entry, c.buf)
	return crc == old.CRC64, err
}

// hidden says whether the object that the manifest has is not the one that the
// listing shows. A newer version hides it, and it would expire: even an unchanged
// file needs an object of its own on top. If an upload that was cut off has put that
// very content, the commit finds out.
func (c *comparison) hidden(f found, old *backup.Entry) (bool, error) {
	if c.objects == nil {
		return false, nil
	}
	o, err := c.objects.at(f.Entry)
	if err != nil || old == nil {
		return false, err
	}
	return o == nil || o.Marker || !sameVersion(o.VersionID, old.Version), nil
}

// unreadError tells a file that cannot be read from what ends the survey.
func (c *comparison) unreadError(f found, old *backup.Entry, err error) error {
	if errors.As(err, new(*changed)) || !unreadable(err) {
		return err
	}
	f.err = err
	c.survey.Counts = less(c.survey.Counts, f.Entry)
	return c.unread(f, old)
}

func less(c backup.Counts, e backup.Entry) backup.Counts {
	if e.Type == backup.File {
		c.Files, c.Bytes = c.Files-1, c.Bytes-e.Size
	}
	return c
}

// unread keeps what the manifest has of a path, and below it, that could not be read.
func (c *comparison) unread(f found, old *backup.Entry) error {
	s := c.survey
	if s.FailedCount++; len(s.Failed) < backup.MaxNamed {
		s.Failed = append(s.Failed, f.Path+": "+reason(f.err))
	}
	if f.Type == backup.Dir {
		c.kept = f.Path
	}
	if old != nil {
		s.Counts.Add(*old)
	}
	return nil
}
