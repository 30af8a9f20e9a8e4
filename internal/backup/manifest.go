package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ManifestFormat is the format that this version writes and the only one it reads.
const ManifestFormat = 1

// maxLinks is how many manifests may build on a whole one: a rebuild reads them all.
const maxLinks = 32

// ErrManifest says that a manifest is not what it should be: truncated, altered, of another
// dataset, or of a format that this version does not know.
var ErrManifest = errors.New("manifest is damaged or foreign")

// WholeNext says whether the manifest after last, with so many rows of changes,
// should be a whole one: a chain must not cost more to read than what it describes.
func WholeNext(last *ManifestHeader, rows int) bool {
	return last == nil || last.Links+1 > maxLinks || 2*(last.LinkRows+rows) > last.WholeRows
}

// Follow fills in the header of the manifest that comes after last, under the given
// key, with so many rows; whole says that it does not build on last.
func (h ManifestHeader) Follow(last *ManifestHeader, lastKey string, rows int, whole bool) ManifestHeader {
	h.Format, h.Seq, h.Changed = ManifestFormat, 1, rows
	if last != nil {
		h.Seq = last.Seq + 1
	}
	if whole {
		h.WholeRows = rows
		return h
	}
	h.Base, h.Links = lastKey, last.Links+1
	h.LinkRows, h.WholeRows = last.LinkRows+rows, last.WholeRows
	return h
}

// Check refuses a header that does not belong under the key it was found at.
func (h ManifestHeader) Check(p OffsitePoint) error {
	switch {
	case h.Format != ManifestFormat:
		return fmt.Errorf("%s: format %d, want %d: %w", p.Key, h.Format, ManifestFormat, ErrManifest)
	case h.Dataset != p.Dataset:
		return fmt.Errorf("%s: of dataset %q: %w", p.Key, h.Dataset, ErrManifest)
	case h.Seq != p.Seq || h.Stamp != p.Stamp || h.Point != p.Point:
		return fmt.Errorf("%s: says it is %08d-%s-%s: %w", p.Key, h.Seq, h.Stamp, h.Point, ErrManifest)
	}
	return nil
}

// Check refuses a row that no walk can have written.
func (e Entry) Check() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	switch e.Type {
	case File, Symlink, Dir, Special:
	default:
		return fmt.Errorf("path %q: type %q: %w", e.Path, e.Type, ErrManifest)
	}
	if e.Size < 0 {
		return fmt.Errorf("path %q: size %d: %w", e.Path, e.Size, ErrManifest)
	}
	return nil
}

// HasObject says whether the bucket holds content for an entry of this type.
func (t EntryType) HasObject() bool { return t == File || t == Symlink }

// AppendJSON writes the entry as one JSON object. Names may hold bytes that are not
// UTF-8, which JSON cannot: they go as base64 under another name.
func (e Entry) AppendJSON(b []byte) ([]byte, error) {
	b, err := appendName(append(b, '{'), "path", e.Path)
	if err != nil {
		return nil, err
	}
	b = append(append(append(b, `,"type":"`...), e.Type...), '"')
	b = appendInt(b, "size", e.Size)
	b = appendInt(b, "mtime", e.Mtime)
	b = appendInt(b, "mode", int64(e.Mode))
	b = appendInt(b, "uid", int64(e.UID))
	b = appendInt(b, "gid", int64(e.GID))
	for _, f := range []struct{ name, value string }{
		{"target", e.Target},
		{"key", e.Key},
		{"version", e.Version},
		{"crc64", e.CRC64},
		{"since", string(e.Since)},
		{"gone", string(e.Gone)},
	} {
		if f.value == "" {
			continue
		}
		if b, err = appendName(append(b, ','), f.name, f.value); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendInt(b []byte, name string, v int64) []byte {
	if v == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, v, 10)
}

func appendName(b []byte, name, value string) ([]byte, error) {
	b = append(append(b, '"'), name...)
	if plain(value) {
		return append(append(append(b, `":"`...), value...), '"'), nil
	}
	var text any = value
	if !utf8.ValidString(value) {
		b, text = append(b, "64"...), []byte(value)
	}
	j, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	return append(append(b, `":`...), j...), nil
}

// plain says whether s can stand in JSON as it is; nearly all names can.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// MarshalJSON writes what AppendJSON writes.
func (e Entry) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }
