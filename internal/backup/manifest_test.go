package backup_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

func TestKeysAreRclones(t *testing.T) {
	long := strings.Repeat("d/", 505) + "file"
	tests := map[string]struct {
		path string
		kind backup.EntryType
		want string // below data/hdd/data/; "@other" for any key there
	}{
		"plain":                              {"a/b c", backup.File, "@/a/b c"},
		"UTF-8 stays, whatever its form":     {"caf\u00e9/cafe\u0301", backup.File, "@/caf\u00e9/cafe\u0301"},
		"a byte that is not UTF-8":           {"x\xffy", backup.File, "@/x\u201bFFy"},
		"each byte of a cut character":       {"\xe2\x80", backup.File, "@/\u201bE2\u201b80"},
		"U+FFFD itself":                      {"\ufffd", backup.File, "@/\ufffd"},
		"wide slash and full stop stay":      {"\uff0f/\uff0e/\uff0e\uff0e", backup.File, "@/\uff0f/\uff0e/\uff0e\uff0e"},
		"a quoted symbol stays":              {"\u201b\u2400\u201b\u201b", backup.File, "@/\u201b\u2400\u201b\u201b"},
		"a quoted wide full stop":            {"\u201b\uff0e", backup.File, "@/\u201b\uff0e"},
		"a stray quote rclone would double":  {"\u201bRound Midnight", backup.File, "@other"},
		"what only looks like an escape":     {"\u201bFF", backup.File, "@other"},
		"below a folder that rclone loses":   {"\u201b/x", backup.File, "@other"},
		"a symlink":                          {"l", backup.Symlink, "@/l.rclonelink"},
		"a file that would become a symlink": {"l.rclonelink", backup.File, "@other"},
		"a symlink called like one":          {"l.rclonelink", backup.Symlink, "@/l.rclonelink.rclonelink"},
		"too long for S3":                    {long, backup.File, "@other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.TrimPrefix(backup.KeyOf("", "hdd/data", backup.Entry{Path: tt.path, Type: tt.kind}), "data/hdd/data/")
			if tt.want == "@other" {
				got, _, _ = strings.Cut(got, "/")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := backup.KeyOf("p", "d", backup.Entry{Path: "a", Type: backup.File, Key: "another"}); got != "another" {
		t.Errorf("a key of its own: %q", got)
	}
}

// Odd names in every place, so that all kinds of neighbours meet.
func oddEntries() []backup.Entry {
	names := []string{
		"a", "a.b", "a-b", "a b", "a0", "A", "\u201b", "\u201b\u201b", "\u201bFF", "\xff", "\u201b!", "\u201b!a", "a\u201b!",
		"a.rclonelink", "a.rclonelink\u201b!", "a\u201b!special", "\ufffd", "\uff0e", "\u201b\uff0e", "\uffff", "\U0001f600", "\x01", "~",
	}
	var all []backup.Entry
	for _, dir := range append([]string{""}, names...) {
		for _, name := range names {
			path := name
			if dir != "" {
				path = dir + "/" + name
			}
			for _, k := range []backup.EntryType{backup.File, backup.Symlink, backup.Dir, backup.Special} {
				all = append(all, backup.Entry{Path: path, Type: k})
			}
		}
	}
	return all
}

func TestNoTwoEntriesShareAnOrderOrAKey(t *testing.T) {
	orders, keys := map[string]backup.Entry{}, map[string]backup.Entry{}
	for _, e := range oddEntries() {
		order := backup.Order(e.Path, e.Type)
		if other, ok := orders[order]; ok {
			t.Errorf("%+v and %+v have the order %q", other, e, order)
		}
		orders[order] = e
		if !e.Type.HasObject() {
			continue
		}
		key := backup.KeyOf("", "d", e)
		if other, ok := keys[key]; ok {
			t.Errorf("%+v and %+v have the key %q", other, e, key)
		}
		keys[key] = e
	}
}

// A walk goes through folders depth first; a listing goes by keys. Both are in order.
func TestOrderIsThatOfAWalkAndOfAListing(t *testing.T) {
	all := oddEntries()
	slices.SortFunc(all, func(a, b backup.Entry) int {
		return cmp.Compare(backup.Order(a.Path, a.Type), backup.Order(b.Path, b.Type))
	})
	lastKey := ""
	open := map[string]bool{} // folders whose inside has begun
	closed := map[string]bool{}
	current := ""
	for _, e := range all {
		if key := backup.KeyOf("", "d", e); e.Type.HasObject() && strings.HasPrefix(key, backup.DataPrefix("", "d")) {
			if key <= lastKey {
				t.Errorf("%q is listed after %q", key, lastKey)
			}
			lastKey = key
		}
		dir := ""
		if i := strings.LastIndexByte(e.Path, '/'); i >= 0 {
			dir = e.Path[:i]
		}
		if dir != current && current != "" {
			closed[current] = true
		}
		current = dir
		if dir != "" && closed[dir] {
			t.Errorf("%q comes after its folder was left", e.Path)
		}
		if dir != "" && !open[dir] {
			t.Errorf("%q comes before its folder", e.Path)
		}
		if e.Type == backup.Dir {
			open[e.Path] = true
		}
	}
}

func TestMetadata(t *testing.T) {
	for _, tt := range []struct {
		ns   int64
		want string
	}{
		{0, "0"}, {1_700_000_000_123_456_789, "1700000000.123456789"}, {1_500_000_000, "1.5"}, {5, "0.000000005"},
		{-1, "-0.000000001"}, {-1_500_000_000, "-1.5"}, {-1 << 63, "-9223372036.854775808"},
	} {
		got := backup.Metadata(backup.Entry{Type: backup.File, Mtime: tt.ns, Mode: 0o4755, UID: 1000, GID: 4294967294})
		want := map[string]string{"mtime": tt.want, "mode": "104755", "uid": "1000", "gid": "4294967294"}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%d ns: %s", tt.ns, diff)
		}
	}
}

func TestEntriesComeBackFromJSON(t *testing.T) {
	full := backup.Entry{
		Path: "a/b", Type: backup.File, Size: 1 << 40, Mtime: -5, Mode: 0o7777, UID: 1, GID: 2,
		Key: "k", Version: "v", CRC64: "AAAA", Since: "20261122T030000Z", Gone: "20261123T030000Z",
	}
	all := []backup.Entry{full, {Path: ".", Type: backup.Dir}, {Path: "l", Type: backup.Symlink, Target: "\xff\n\"<\u2028"}}
	all = append(all, oddEntries()...)
	for c := range 256 {
		if c != 0 && c != '/' {
			all = append(all, backup.Entry{Path: "x" + string([]byte{byte(c)}) + "y", Type: backup.File})
		}
	}
	for _, want := range all {
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(string(line), "\n\r") {
			t.Errorf("%q is more than one line", line)
		}
		var got backup.Entry
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%+v: %v", got, err)
		}
	}
}

// The quick reader takes only what encoding/json reads in the same way.
func FuzzEntryJSON(f *testing.F) {
	for _, e := range oddEntries() {
		line, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	for _, line := range []string{
		`{"path":"a","type":"f","size":01}`, `{"path":"a","type":"f","size":-}`, `{"path":"a","type":"f","uid":4294967296}`,
		`{"path":"a","type":"f","size":1,"size":2}`, "{\"path\":\"\xff\",\"type\":\"f\"}", `{"path":"a","type":"f"}}`,
		`{"path":"a","type":"f","version":"v"}`, `{"path":"a","type":"f","mtime":-0}`,
	} {
		f.Add([]byte(line))
	}
	type plain struct {
		Path, Target, Key, Version, CRC64 string
		Type                              backup.EntryType
		Since, Gone                       backup.Stamp
		Size, Mtime                       int64
		Mode, UID, GID                    uint32
		Path64, Target64                  []byte
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var got backup.Entry
		var want plain
		gotErr, wantErr := json.Unmarshal(line, &got), json.Unmarshal(line, &want)
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, encoding/json says %v", line, gotErr, wantErr)
		}
		if wantErr != nil || want.Path64 != nil || want.Target64 != nil {
			return
		}
		if entry := (backup.Entry{
			Path: want.Path, Type: want.Type, Size: want.Size, Mtime: want.Mtime, Mode: want.Mode, UID: want.UID, GID: want.GID,
			Target: want.Target, Key: want.Key, Version: want.Version, CRC64: want.CRC64, Since: want.Since, Gone: want.Gone,
		}); got != entry {
			t.Errorf("%q: got %+v, want %+v", line, got, entry)
		}
	})
}

func TestPathsThatNoWalkSees(t *testing.T) {
	for _, bad := range []string{"", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a\x00b"} {
		if err := backup.CheckPath(bad); !errors.Is(err, backup.ErrPath) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{".", "a", "...", "..a", "a/.b", " ", "a\nb", "\xff"} {
		if err := backup.CheckPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAChainStaysShort(t *testing.T) {
	whole := &backup.ManifestHeader{Seq: 1, WholeRows: 1000}
	tests := map[string]struct {
		last *backup.ManifestHeader
		rows int
		want bool
	}{
		"the first one":                  {nil, 5, true},
		"a few rows":                     {whole, 10, false},
		"half of the rows":               {whole, 500, false},
		"more than half":                 {whole, 501, true},
		"more than half, taken together": {&backup.ManifestHeader{WholeRows: 1000, LinkRows: 400, Links: 3}, 101, true},
		"the 32nd link":                  {&backup.ManifestHeader{WholeRows: 1000, Links: 31}, 1, false},
		"the 33rd link":                  {&backup.ManifestHeader{WholeRows: 1000, Links: 32}, 1, true},
		"nothing changed":                {&backup.ManifestHeader{WholeRows: 1000, Links: 31}, 0, false},
	}
	for name, tt := range tests {
		if got := backup.WholeNext(tt.last, tt.rows); got != tt.want {
			t.Errorf("%s: whole %v", name, got)
		}
	}
	h := backup.ManifestHeader{Dataset: "d"}
	first := h.Follow(nil, "", 1000, true)
	second := h.Follow(&first, "key 1", 7, false)
	third := h.Follow(&second, "key 2", 8, false)
	fourth := h.Follow(&third, "key 3", 990, true)
	for i, want := range []backup.ManifestHeader{
		{Format: 1, Dataset: "d", Seq: 1, Changed: 1000, WholeRows: 1000},
		{Format: 1, Dataset: "d", Seq: 2, Changed: 7, WholeRows: 1000, Base: "key 1", Links: 1, LinkRows: 7},
		{Format: 1, Dataset: "d", Seq: 3, Changed: 8, WholeRows: 1000, Base: "key 2", Links: 2, LinkRows: 15},
		{Format: 1, Dataset: "d", Seq: 4, Changed: 990, WholeRows: 990},
	} {
		if got := []backup.ManifestHeader{first, second, third, fourth}[i]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
