package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// LinkSuffix is what rclone (--links) ends the key of a symlink with; the object's
// body is the target.
const LinkSuffix = ".rclonelink"

// maxKey is the longest key that S3 takes, in bytes of UTF-8.
const maxKey = 1024

// quote is the rune with which rclone's names escape: a byte that is not UTF-8
// becomes quote and two hex digits. quoted follow it where a name has such a rune
// itself. outside begins what stands for a name that rclone cannot write: no name
// that it writes has these two in a row.
const (
	quote   = "\u201b"
	outside = quote + "!"
)

var quoted = []string{quote, "\u2400", "\uff0f"} // itself, the symbol for NUL, the wide slash

// keyName is one component of a path as rclone writes it from a local filesystem to
// S3 with its default encodings. It is false for a name that rclone would not bring
// back as it was, which then has no place among the keys that rclone reads; what is
// returned serves for sorting.
//
// Source: rclone, lib/encoder: Base for local names, InvalidUtf8|Slash|Dot for S3.
func keyName(name string) (string, bool) {
	if utf8.ValidString(name) && !strings.Contains(name, quote) {
		return name, true
	}
	if name == quote+"\uff0e" || name == quote+"\uff0e"+quote+"\uff0e" {
		return name, true // the names "." and ".." in wide full stops, quoted
	}
	var b strings.Builder
	for rest := name; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, quote+"%02X", rest[0])
		case rest[:n] == quote:
			next, ok := afterQuote(rest[n:])
			if !ok {
				return outside + name, false
			}
			b.WriteString(quote + next)
			n += len(next)
		default:
			b.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return b.String(), true
}

func afterQuote(rest string) (string, bool) {
	for _, q := range quoted {
		if strings.HasPrefix(rest, q) {
			return q, true
		}
	}
	return "", false
}

// Order is where an entry stands in a manifest: manifests, walks and listings of a
// bucket are all sorted by it, bytewise, so that they can be compared as streams. It
// is the entry's key below DataPrefix; a directory's ends with a slash. A path that
// turns from a file into a symlink or a directory is another entry.
func Order(path string, t EntryType) string {
	order, _ := orderOf(path, t)
	return order
}

// orderOf also says whether the order can be a key.
func orderOf(path string, t EntryType) (string, bool) {
	if path == "." {
		return "", false
	}
	order, natural := path, true
	if strings.Contains(path, quote) || !utf8.ValidString(path) {
		names := strings.Split(path, "/")
		for i, name := range names {
			var ok bool
			names[i], ok = keyName(name)
			natural = natural && ok
		}
		order = strings.Join(names, "/")
	}
	switch {
	case t == Dir:
		return order + "/", natural
	case t == Symlink:
		return order + LinkSuffix, natural
	case t == Special:
		return order + outside + "special", false
	case strings.HasSuffix(order, LinkSuffix):
		// rclone would make a symlink of it, or overwrite the one beside it.
		return order + outside, false
	}
	return order, natural
}

// KeyOf is the key of an entry's content: where rclone would put it. What rclone
// could not bring back under its name (a file called *.rclonelink, a stray quoting
// rune, a key of more than 1024 bytes) is kept beside, under @other, by the hash of
// its name: only the manifest knows it.
func KeyOf(prefix, dataset string, e Entry) string {
	if e.Key != "" {
		return e.Key
	}
	order, natural := orderOf(e.Path, e.Type)
	if key := DataPrefix(prefix, dataset) + order; natural && len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(order))
	return OtherPrefix(prefix, dataset) + hex.EncodeToString(sum[:])
}

// ErrPath says that a manifest names a path that no dataset can have.
var ErrPath = errors.New("not a path below the dataset's root")

// CheckPath refuses a path that a walk cannot have seen: a manifest comes from a
// bucket, and somebody restores what it names.
func CheckPath(path string) error {
	if path == "." {
		return nil
	}
	if strings.Contains(path, "\x00") {
		return fmt.Errorf("path %q: %w", path, ErrPath)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("path %q: %w", path, ErrPath)
		}
	}
	return nil
}

// Types of a file in st_mode, as rclone writes it.
const (
	modeFile = 0o100000
	modeLink = 0o120000
)

// Metadata is the user metadata of an entry's object, as rclone -M writes it.
func Metadata(e Entry) map[string]string {
	kind := uint32(modeFile)
	if e.Type == Symlink {
		kind = modeLink
	}
	return map[string]string{
		"mtime": seconds(e.Mtime),
		"mode":  strconv.FormatUint(uint64(kind|e.Mode&0o7777), 8),
		"uid":   strconv.FormatUint(uint64(e.UID), 10),
		"gid":   strconv.FormatUint(uint64(e.GID), 10),
	}
}

// seconds writes nanoseconds as rclone writes a time: a decimal number of seconds,
// without trailing zeros.
func seconds(ns int64) string {
	sign, abs := "", uint64(ns)
	if ns < 0 {
		sign, abs = "-", -abs
	}
	s := sign + strconv.FormatUint(abs/1e9, 10)
	if frac := abs % 1e9; frac != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", frac), "0")
	}
	return s
}
