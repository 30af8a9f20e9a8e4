package s3test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bucket is a bucket.
type bucket struct {
	Name    string
	Created time.Time
	Configs map[string]config

	objects map[string][]*version // oldest first
	keys    []string              // sorted: those that have a version
	uploads map[string]*upload
}

// config is a document that a bucket is configured with.
type config struct {
	Body   []byte
	Header string // x-amz-transition-default-minimum-object-size
}

// version is a version of an object, or a delete marker.
type version struct {
	attributes
	ID       string
	Serial   int64
	Marker   bool
	Size     int64
	ETag     string
	Sums     map[string]string
	SumType  string
	Modified time.Time
	Blob     string
	Thaw     *thaw
}

// attributes are what a PUT or a multipart upload says about the object to be.
type attributes struct {
	Key      string
	Class    string
	SSE      string
	Type     string
	Metadata map[string]string
}

func newBucket(name string, created time.Time) *bucket {
	return &bucket{Name: name, Created: created, Configs: map[string]config{},
		objects: map[string][]*version{}, uploads: map[string]*upload{}}
}

// insert adds a version as the latest of its key.
func (b *bucket) insert(v *version) {
	if len(b.objects[v.Key]) == 0 {
		i, _ := slices.BinarySearch(b.keys, v.Key)
		b.keys = slices.Insert(b.keys, i, v.Key)
	}
	b.objects[v.Key] = append(b.objects[v.Key], v)
}

// remove takes a version away.
func (b *bucket) remove(v *version) {
	left := slices.DeleteFunc(b.objects[v.Key], func(o *version) bool { return o == v })
	b.objects[v.Key] = left
	if len(left) == 0 {
		delete(b.objects, v.Key)
		if i, ok := slices.BinarySearch(b.keys, v.Key); ok {
			b.keys = slices.Delete(b.keys, i, i+1)
		}
	}
}

// latest is what a plain GET of key finds: nil if nothing or a delete marker.
func (b *bucket) latest(key string) *version {
	versions := b.objects[key]
	if len(versions) == 0 || versions[len(versions)-1].Marker {
		return nil
	}
	return versions[len(versions)-1]
}

// add makes a version durable and then visible. s.mu must be held.
func (s *Server) add(b *bucket, v *version) error {
	if !b.versioned() {
		v.ID = "null"
		for _, old := range slices.Clone(b.objects[v.Key]) {
			if old.ID == "null" {
				defer func() { _ = s.discard(b, old) }() // after the new one is there
			}
		}
	}
	if err := s.save(v, "versions", b.Name, fmt.Sprintf("%016x", v.Serial)); err != nil {
		return err
	}
	b.insert(v)
	return nil
}

// discard deletes a version for good. s.mu must be held.
func (s *Server) discard(b *bucket, v *version) error {
	b.remove(v)
	err := s.unsave("versions", b.Name, fmt.Sprintf("%016x", v.Serial))
	return errors.Join(err, s.blobs.remove(v.Blob))
}

// save writes a piece of state, if there is a directory to write it to.
func (s *Server) save(v any, path ...string) error {
	if s.opt.Dir == "" {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name := s.stateFile(path)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (s *Server) unsave(path ...string) error {
	if s.opt.Dir == "" {
		return nil
	}
	return os.Remove(s.stateFile(path))
}

func (s *Server) stateFile(path []string) string {
	return filepath.Join(s.opt.Dir, filepath.Join(path...)+".json")
}

// load reads all state back.
func (s *Server) load() error {
	if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return err
	}
	err := each(filepath.Join(s.opt.Dir, "buckets"), func(b *bucket) {
		fresh := newBucket(b.Name, b.Created)
		fresh.Configs = b.Configs
		s.buckets[b.Name] = fresh
	})
	for _, b := range s.buckets {
		var versions []*version
		err = errors.Join(err, each(filepath.Join(s.opt.Dir, "versions", b.Name), func(v *version) { versions = append(versions, v) }))
		slices.SortFunc(versions, func(x, y *version) int { return cmp.Compare(x.Serial, y.Serial) })
		for _, v := range versions {
			s.serial = max(s.serial, v.Serial)
			b.insert(v)
		}
		err = errors.Join(err, each(filepath.Join(s.opt.Dir, "uploads", b.Name), func(u *upload) {
			s.serial = max(s.serial, u.Serial)
			for _, p := range u.Parts {
				s.serial = max(s.serial, p.Serial)
			}
			b.uploads[u.ID] = u
		}))
	}
	return err
}

// each reads all JSON files of a folder.
func each[T any](dir string, use func(*T)) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue // the leftover of a kill
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		v := new(T)
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		use(v)
	}
	return nil
}
