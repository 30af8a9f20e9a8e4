package backup_test

import (
	"math"
	"strings"
	"testing"

	"triplicate/internal/backup"
)

const gib = 1 << 30

func TestGuardOffsite(t *testing.T) {
	before := &backup.ManifestHeader{GUID: 7, Counts: backup.Counts{Files: 1000, Bytes: 10 * gib}}
	ok := func(a backup.Approval) *backup.Approval { return &a }
	tests := map[string]struct {
		in   backup.GuardInput
		want string // a part of the reason; empty: go ahead
	}{
		"the first upload waits for its plan": {
			in:   backup.GuardInput{Change: backup.Change{Upload: 5, UploadBytes: gib}},
			want: "first upload: 5 objects, 1.0 GiB, ",
		},
		"a dataset without files needs no plan": {
			in: backup.GuardInput{Change: backup.Change{Meta: 12}},
		},
		"an approved first upload goes ahead": {
			in: backup.GuardInput{Change: backup.Change{Upload: 5, UploadBytes: gib}, Approved: ok(backup.Approval{Dataset: 7, Uploads: 5, Bytes: gib, USD: 1})},
		},
		"one object more than was approved": {
			in:   backup.GuardInput{Change: backup.Change{Upload: 6, UploadBytes: gib}, Approved: ok(backup.Approval{Dataset: 7, Uploads: 5, Bytes: gib, USD: 1})},
			want: "first upload",
		},
		"one byte more than was approved": {
			in:   backup.GuardInput{Change: backup.Change{Upload: 5, UploadBytes: gib + 1}, Approved: ok(backup.Approval{Dataset: 7, Uploads: 5, Bytes: gib, USD: 1})},
			want: "first upload",
		},
		"dearer than was approved": {
			in:   backup.GuardInput{Change: backup.Change{Upload: 100_000}, Approved: ok(backup.Approval{Dataset: 7, Uploads: -1, Bytes: -1, Gone: -1, USD: 2.99})},
			want: "first upload",
		},
		"approved without limits": {
			in: backup.GuardInput{Change: backup.Change{Upload: 100_000, Gone: 999}, Approved: ok(backup.Approval{Dataset: 7, Uploads: -1, Bytes: -1, Gone: -1, USD: -1})},
		},
		"another dataset's approval": {
			in:   backup.GuardInput{Change: backup.Change{Upload: 5}, Approved: ok(backup.Approval{Dataset: 8, Uploads: -1, Bytes: -1, Gone: -1, USD: -1})},
			want: "first upload",
		},
		"an ordinary night": {
			in: backup.GuardInput{Before: before, Change: backup.Change{Upload: 40, UploadBytes: gib, Replace: 20, Gone: 10, GoneBytes: gib}, CapUSD: 5},
		},
		"new files are not a change of old ones": {
			in: backup.GuardInput{Before: before, Change: backup.Change{Upload: 5000, UploadBytes: 100 * gib}, CapUSD: 5},
		},
		"above the cap": {
			in:   backup.GuardInput{Before: before, Change: backup.Change{Upload: 170_000}, CapUSD: 5},
			want: "5.10 USD, above the cap of 5.00 USD a run",
		},
		"above the cap with what the run spent already": {
			in:   backup.GuardInput{Before: before, Change: backup.Change{Upload: 10_000}, CapUSD: 5, SpentUSD: 4.9},
			want: "above the cap",
		},
		"no cap": {
			in: backup.GuardInput{Before: before, Change: backup.Change{Upload: 1_000_000}},
		},
		"30 % of the files changed": {
			in: backup.GuardInput{Before: before, Change: backup.Change{Upload: 200, Replace: 200, Gone: 100}},
		},
		"more than 30 % of the files changed": {
			in:   backup.GuardInput{Before: before, Change: backup.Change{Upload: 201, Replace: 201, Gone: 100}},
			want: "301 of 1000 files changed or are gone (more than 30 %)",
		},
		"more than 30 % of the bytes changed, in few files": {
			in:   backup.GuardInput{Before: before, Change: backup.Change{Upload: 2, Replace: 2, GoneBytes: 3*gib + 1}},
			want: "3.0 GiB of 10.0 GiB are gone or changed (more than 30 %)",
		},
		"most of a small dataset means nothing": {
			in: backup.GuardInput{
				Before: &backup.ManifestHeader{GUID: 7, Counts: backup.Counts{Files: 4, Bytes: 1 << 20}},
				Change: backup.Change{Upload: 3, Replace: 3, GoneBytes: 1 << 20},
			},
		},
		"an empty source is never a mass delete, however small": {
			in: backup.GuardInput{
				Before: &backup.ManifestHeader{GUID: 7, Counts: backup.Counts{Files: 2, Symlinks: 1, Bytes: 5}},
				Change: backup.Change{Gone: 3, GoneBytes: 5},
			},
			want: "the dataset is empty, the copy has 3 files",
		},
		"symlinks are files here": {
			in: backup.GuardInput{
				Before: &backup.ManifestHeader{GUID: 7, Counts: backup.Counts{Files: 10, Symlinks: 90}},
				Change: backup.Change{Upload: 30, Replace: 30},
			},
		},
		"a dataset made anew under the name": {
			in: backup.GuardInput{
				Before: &backup.ManifestHeader{GUID: 6, Counts: backup.Counts{Files: 1000}},
				Change: backup.Change{Upload: 1},
			},
			want: "is not the dataset that was copied: its guid is 7, the copy's 6",
		},
		"approved mass change": {
			in: backup.GuardInput{Before: before, Change: backup.Change{Gone: 900}, Approved: ok(backup.Approval{Dataset: 7, Uploads: -1, Bytes: -1, Gone: 900, USD: 1})},
		},
		"more gone than was approved": {
			in:   backup.GuardInput{Before: before, Change: backup.Change{Gone: 901}, Approved: ok(backup.Approval{Dataset: 7, Uploads: -1, Bytes: -1, Gone: 900, USD: 1})},
			want: "901 of 1000",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.in.Dataset = backup.Dataset{Name: "hdd/data", GUID: 7}
			got := backup.GuardOffsite(tt.in)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The table of the facts that the prices come from: 2 million files of 50 KiB, and a
// datastore of 500,000 chunks of 2 MiB.
func TestPrices(t *testing.T) {
	tests := map[string]struct {
		change        backup.Change
		upload, month float64
	}{
		"2 M x 50 KiB":          {backup.Change{Upload: 2_000_000, UploadBytes: 2_000_000 * 50 << 10}, 60, 0.914},
		"500k x 2 MiB":          {backup.Change{Upload: 500_000, UploadBytes: 500_000 * 2 << 20}, 15, 3.66},
		"4 x 1 GiB in parts":    {backup.Change{Upload: 4, UploadBytes: 4 * gib, Large: 4, Parts: 256}, 4*3.5e-5 + 256*5e-6, 4*0.0036 + 4*2.853e-7},
		"nothing costs nothing": {},
	}
	for name, tt := range tests {
		if up, month := tt.change.UploadUSD(), tt.change.MonthUSD(); math.Abs(up-tt.upload) > 0.005 || math.Abs(month-tt.month) > 0.005 {
			t.Errorf("%s: %.4f at once and %.4f a month, want %.4f and %.4f", name, up, month, tt.upload, tt.month)
		}
	}
}

func TestSameContent(t *testing.T) {
	file := backup.Entry{Type: backup.File, Size: 5, Mtime: 7, Mode: 0o644, UID: 1, GID: 2, Version: "v", CRC64: "c", Since: "s"}
	link := backup.Entry{Type: backup.Symlink, Size: 1, Mtime: 7, Target: "x"}
	with := func(e backup.Entry, change func(*backup.Entry)) backup.Entry { change(&e); return e }
	tests := map[string]struct {
		a, b           backup.Entry
		content, entry bool
	}{
		"what a walk sees of it":     {file, with(file, func(e *backup.Entry) { e.Version, e.CRC64, e.Since = "", "", "" }), true, true},
		"another owner":              {file, with(file, func(e *backup.Entry) { e.UID = 9 }), true, false},
		"another group":              {file, with(file, func(e *backup.Entry) { e.GID = 9 }), true, false},
		"another mode":               {file, with(file, func(e *backup.Entry) { e.Mode = 0o600 }), true, false},
		"a nanosecond":               {file, with(file, func(e *backup.Entry) { e.Mtime++ }), false, false},
		"a byte":                     {file, with(file, func(e *backup.Entry) { e.Size++ }), false, false},
		"another type":               {file, with(file, func(e *backup.Entry) { e.Type = backup.Special }), false, false},
		"another target":             {link, with(link, func(e *backup.Entry) { e.Target = "y" }), false, false},
		"a tombstone has no content": {with(file, func(e *backup.Entry) { e.Gone = "s" }), file, false, false},
	}
	for name, tt := range tests {
		if got := backup.SameContent(tt.a, tt.b); got != tt.content {
			t.Errorf("%s: same content %v", name, got)
		}
		if got := backup.SameEntry(tt.a, tt.b); got != tt.entry {
			t.Errorf("%s: same entry %v", name, got)
		}
	}
}

func TestManifestKeys(t *testing.T) {
	key := backup.ManifestKey("/smith/", "hdd/data", 12, "20261122T030000Z", 99)
	if want := "smith/manifests/hdd/data/@/00000012-20261122T030000Z-99.jsonl.gz"; key != want {
		t.Errorf("key %q, want %q", key, want)
	}
	p, ok := backup.ParseManifestKey("smith", key)
	if want := (backup.OffsitePoint{Dataset: "hdd/data", Seq: 12, Stamp: "20261122T030000Z", Point: 99, Key: key}); !ok || p != want {
		t.Errorf("parsed %+v, want %+v", p, want)
	}
	for _, bad := range []string{
		"", "smith/manifests/", "smith/manifests/hdd/data/@/", "other/manifests/hdd/@/00000012-20261122T030000Z-99.jsonl.gz",
		"smith/manifests/hdd/@/12-20261122T030000Z-99.jsonl.gz", "smith/manifests/hdd/@/00000012-20261122T030000Z-99.jsonl",
		"smith/manifests/hdd/@/00000012-2026-99.jsonl.gz", "smith/manifests/hdd/@/-0000012-20261122T030000Z-99.jsonl.gz",
		"smith/manifests/hdd/@/00000012-20261122T030000Z-099.jsonl.gz", "smith/manifests/hdd/@/00000012-20261399T030000Z-99.jsonl.gz",
		"smith/manifests/hdd/00000012-20261122T030000Z-99.jsonl.gz",
	} {
		if p, ok := backup.ParseManifestKey("smith", bad); ok {
			t.Errorf("%q is taken for %+v", bad, p)
		}
	}
}
