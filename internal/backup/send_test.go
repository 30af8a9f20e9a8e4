package backup

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// point is the n-th hourly snapshot of a dataset; its GUID is n on both ends.
func point(dataset string, n int) Snapshot {
	at := time.Date(2026, 11, 22, n, 0, 0, 0, time.UTC)
	return Snapshot{Dataset: dataset, Name: SnapshotName("triplicate", StampOf(at)), GUID: GUID(n), CreateTXG: uint64(100 + n)}
}

func points(dataset string, ns ...int) (list []Snapshot) {
	for _, n := range ns {
		list = append(list, point(dataset, n))
	}
	return list
}

func mark(n int) Bookmark {
	s := point("nvme/a", n)
	stamp, _ := StampIn("triplicate", s.Name)
	return Bookmark{Dataset: s.Dataset, Name: BookmarkName("triplicate", "r", stamp), GUID: s.GUID, CreateTXG: s.CreateTXG}
}

func local(kv ...string) map[string]Property {
	m := map[string]Property{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = Property{Value: kv[i+1], Source: "local"}
	}
	return m
}

// sends is both ends of one dataset: 1 is copied, 2 and 3 are not.
func sends(change func(*SendInput)) SendInput {
	in := SendInput{
		Prefix:   "triplicate",
		Replica:  Replica{Name: "r", Source: "nvme/a", Target: "hdd/a"},
		Source:   Dataset{Name: "nvme/a", Type: Filesystem, GUID: 77, KeyLoaded: true},
		Target:   &Dataset{Name: "hdd/a", Type: Filesystem, GUID: 88, KeyLoaded: true, Properties: local(PropSource, "77 nvme/a", PropRaw, "off")},
		Snaps:    points("nvme/a", 1, 2, 3),
		Received: points("hdd/a", 1),
	}
	change(&in)
	return in
}

func foreign(dataset string, guid GUID, txg uint64) Snapshot {
	return Snapshot{Dataset: dataset, Name: "auto-1", GUID: guid, CreateTXG: txg}
}

func TestPlanSend(t *testing.T) {
	type got struct {
		Kind  SendKind
		To    GUID
		From  string
		Abort bool
		Raw   bool
	}
	encrypted := func(in *SendInput) {
		in.Source.Encrypted, in.Target.Encrypted, in.Target.KeyLoaded = true, true, false
		in.Target.Properties = local(PropSource, "77 nvme/a", PropRaw, "on")
	}
	tests := map[string]struct {
		change func(*SendInput)
		want   got
	}{
		"no target":                                {func(in *SendInput) { in.Target, in.Received = nil, nil }, got{Kind: SendFull, To: 3}},
		"no target, encrypted: raw":                {func(in *SendInput) { encrypted(in); in.Target, in.Received = nil, nil }, got{Kind: SendFull, To: 3, Raw: true}},
		"from a snapshot":                          {func(*SendInput) {}, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"from a snapshot rather than its bookmark": {func(in *SendInput) { in.Marks = []Bookmark{mark(1)} }, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"from a bookmark (trap 2)":                 {func(in *SendInput) { in.Snaps, in.Marks = points("nvme/a", 2, 3), []Bookmark{mark(1)} }, got{Kind: SendIncremental, To: 3, From: "#1"}},
		"raw, key not loaded":                      {encrypted, got{Kind: SendIncremental, To: 3, From: "@1", Raw: true}},
		"source renamed":                           {func(in *SendInput) { in.Source.Name = "nvme/b" }, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"listings in any order":                    {func(in *SendInput) { in.Snaps, in.Received = points("nvme/a", 3, 1, 2), points("hdd/a", 2, 1) }, got{Kind: SendIncremental, To: 3, From: "@2"}},
		"a foreign newest is not sent":             {func(in *SendInput) { in.Snaps = append(in.Snaps, foreign("nvme/a", 50, 999)) }, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"a base under another name":                {func(in *SendInput) { in.Received[0].Name = "renamed" }, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"up to date":                               {func(in *SendInput) { in.Received = points("hdd/a", 1, 3) }, got{Kind: SendNothing, To: 3}},
		"the target is ahead of our newest": {func(in *SendInput) {
			in.Snaps = append(in.Snaps, foreign("nvme/a", 50, 999))
			in.Received = append(in.Received, foreign("hdd/a", 50, 999))
		}, got{Kind: SendNothing, To: 3, From: "@50"}},
		"mark lost in a crash (trap 3)": {func(in *SendInput) { in.Target.Properties = nil }, got{Kind: SendIncremental, To: 3, From: "@1"}},
		"an inherited mark is no mark": {func(in *SendInput) {
			in.Target.Properties = map[string]Property{PropSource: {"99 nvme/z", "inherited from hdd"}}
		}, got{Kind: SendIncremental, To: 3, From: "@1"}},

		"resume an increment, to what the token says": {func(in *SendInput) { in.Token = &Token{ToGUID: 2, FromGUID: 1} }, got{Kind: SendResume, To: 2}},
		"resume from a bookmark": {func(in *SendInput) {
			in.Snaps, in.Marks, in.Token = points("nvme/a", 2, 3), []Bookmark{mark(1)}, &Token{ToGUID: 2, FromGUID: 1}
		}, got{Kind: SendResume, To: 2}},
		"resume a first copy":              {func(in *SendInput) { in.Received, in.Token = nil, &Token{ToGUID: 1} }, got{Kind: SendResume, To: 1}},
		"token's snapshot gone":            {func(in *SendInput) { in.Token = &Token{ToGUID: 9, FromGUID: 1} }, got{Kind: SendIncremental, To: 3, From: "@1", Abort: true}},
		"token of a plain stream, now raw": {func(in *SendInput) { encrypted(in); in.Token = &Token{ToGUID: 2, FromGUID: 1} }, got{Kind: SendIncremental, To: 3, From: "@1", Abort: true, Raw: true}},
		"token from another base":          {func(in *SendInput) { in.Received = points("hdd/a", 1, 2); in.Token = &Token{ToGUID: 3, FromGUID: 1} }, got{Kind: SendIncremental, To: 3, From: "@2", Abort: true}},
		"token's base gone from the source": {func(in *SendInput) {
			in.Received, in.Token = nil, &Token{ToGUID: 3, FromGUID: 9}
		}, got{Kind: SendFull, To: 3, Abort: true}},
		"stale token":              {func(in *SendInput) { in.TokenStale = true }, got{Kind: SendIncremental, To: 3, From: "@1", Abort: true}},
		"stale first copy of ours": {func(in *SendInput) { in.Received, in.TokenStale = nil, true }, got{Kind: SendFull, To: 3, Abort: true}},
		"stale token, mark lost":   {func(in *SendInput) { in.Target.Properties, in.TokenStale = nil, true }, got{Kind: SendIncremental, To: 3, From: "@1", Abort: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := PlanSend(sends(tt.change))
			if err != nil {
				t.Fatal(err)
			}
			g := got{Kind: p.Kind, To: p.To.GUID, Abort: p.Abort, Raw: p.Raw}
			if p.From != nil {
				g.From = "@" + p.From.GUID.String()
			}
			if p.FromMark != nil {
				g.From += "#" + p.FromMark.GUID.String()
			}
			if diff := cmp.Diff(tt.want, g); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if p.Reason == "" {
				t.Error("no reason given")
			}
		})
	}
}

func TestPlanSendRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*SendInput)
		want   error
		says   string // of the way out
	}{
		"nothing to send":         {func(in *SendInput) { in.Snaps = []Snapshot{foreign("nvme/a", 5, 5)} }, ErrNotFound, "triplicate-*"},
		"no common base":          {func(in *SendInput) { in.Snaps = points("nvme/a", 2, 3) }, ErrDiverged, "zfs rename -p hdd/a hdd/diverged/a-88"},
		"same names, other GUIDs": {func(in *SendInput) { in.Received[0].GUID = 501 }, ErrDiverged, "zfs rename -p hdd/a "},
		"the wanted name is taken": {func(in *SendInput) {
			in.Received = append(in.Received, Snapshot{Dataset: "hdd/a", Name: in.Snaps[2].Name, GUID: 501, CreateTXG: 50})
		}, ErrExists, "zfs rename hdd/a@triplicate-20261122T030000Z"},
		"ours on the target, gone from the source": {func(in *SendInput) { in.Snaps, in.Received = points("nvme/a", 1, 3), points("hdd/a", 1, 2) },
			ErrDiverged, "zfs destroy -nv hdd/a@triplicate-20261122T020000Z%triplicate-20261122T020000Z"},
		"somebody else's on the target": {func(in *SendInput) { in.Received = append(in.Received, foreign("hdd/a", 50, 999)) },
			ErrDiverged, "zfs destroy -nv hdd/a@auto-1%auto-1"},
		"source replaced":                  {func(in *SendInput) { in.Source.GUID = 78; in.Snaps = points("nvme/a", 2, 3) }, ErrDiverged, "it was replaced. Keep the old copy"},
		"source restored from the replica": {func(in *SendInput) { in.Source.GUID = 78 }, ErrDiverged, "zfs set triplicate:source='78 nvme/a' hdd/a"},
		"a volume where a filesystem was":  {func(in *SendInput) { in.Source.Type = Volume }, ErrDiverged, "zfs rename -p"},
		"was plain, now encrypted":         {func(in *SendInput) { in.Source.Encrypted = true }, ErrDiverged, "raw=off"},
		"plain target without a pin, encrypted source": {func(in *SendInput) {
			in.Source.Encrypted, in.Target.Properties = true, nil
		}, ErrDiverged, "is not encrypted"},
		"a dataset of somebody's": {func(in *SendInput) { in.Received, in.Target.Properties = nil, nil }, ErrDiverged, "not made by a replication"},
		"our own empty dataset in its place": {func(in *SendInput) { in.Received, in.Target.Properties = nil, local(PropContainer, "on") },
			ErrDiverged, "is an empty dataset of ours, made when nvme/a was not copied but something below it was. Move it and the copies below it"},
		"a partial receive of somebody's": {func(in *SendInput) { in.Received, in.Target.Properties, in.TokenStale = nil, nil, true },
			ErrPartial, "zfs receive -A hdd/a"},
		"a partial receive under an inherited mark": {func(in *SendInput) {
			in.Received, in.TokenStale = nil, true
			in.Target.Properties = map[string]Property{PropSource: {"77 nvme/a", "inherited from hdd"}}
		}, ErrPartial, "zfs receive -A hdd/a"},
		"the target's key is not loaded": {func(in *SendInput) { in.Target.Encrypted, in.Target.KeyLoaded = true, false }, ErrKeyUnavailable, "zfs load-key hdd/a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := PlanSend(sends(tt.change))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

// Trap 2 and the promises I1 and I2: what a copy still needs stays.
func TestProtected(t *testing.T) {
	r := Replica{Name: "r"}
	base, newest := "base of replica r, not yet bookmarked", "not yet on replica r"
	tests := map[string]struct {
		snaps    []Snapshot
		marks    []Bookmark
		received []Snapshot
		token    *Token
		want     map[GUID]string
	}{
		"never copied":            {snaps: points("nvme/a", 1, 2), want: map[GUID]string{2: newest}},
		"base without a bookmark": {snaps: points("nvme/a", 1, 2, 3), received: points("hdd/a", 1), want: map[GUID]string{1: base, 3: newest}},
		"base with a bookmark":    {snaps: points("nvme/a", 1, 2, 3), marks: []Bookmark{mark(1)}, received: points("hdd/a", 1), want: map[GUID]string{3: newest}},
		"base only as a bookmark": {snaps: points("nvme/a", 2, 3), marks: []Bookmark{mark(1)}, received: points("hdd/a", 1), want: map[GUID]string{3: newest}},
		"up to date, no bookmark": {snaps: points("nvme/a", 1, 2), received: points("hdd/a", 1, 2), want: map[GUID]string{2: base}},
		"bookmarks of other points": {
			snaps: points("nvme/a", 1, 2, 3), marks: []Bookmark{mark(2)}, received: points("hdd/a", 1),
			want: map[GUID]string{1: base, 3: newest},
		},
		"the base is the newest common one": {
			snaps: points("nvme/a", 1, 2, 3), received: points("hdd/a", 2, 1), want: map[GUID]string{2: base, 3: newest},
		},
		"the base below somebody else's": {
			snaps: points("nvme/a", 1, 2), received: append(points("hdd/a", 1), foreign("hdd/a", 50, 999)),
			want: map[GUID]string{1: base, 2: newest},
		},
		"half received": {
			snaps: points("nvme/a", 1, 2, 3), marks: []Bookmark{mark(1)}, received: points("hdd/a", 1), token: &Token{ToGUID: 2, FromGUID: 1},
			want: map[GUID]string{1: "base of what replica r half received", 2: "half received by replica r", 3: newest},
		},
		"a first copy half received": {snaps: points("nvme/a", 1, 2), token: &Token{ToGUID: 1}, want: map[GUID]string{1: "half received by replica r", 2: newest}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := SourceProtected("triplicate", r, tt.snaps, tt.marks, tt.received, tt.token)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(map[GUID]string{2: "base of replica r"}, TargetProtected(r, points("hdd/a", 2, 1))); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
}

func TestStaleBookmarks(t *testing.T) {
	other := mark(4)
	other.Name = "triplicate-r-b-20261122T040000Z" // of replica r-b
	marks := []Bookmark{mark(1), mark(2), mark(3), other, {Name: "mine", GUID: 5}, {Name: "triplicate-r-latest", GUID: 6}}
	if diff := cmp.Diff([]Bookmark{mark(1)}, StaleBookmarks("triplicate", "r", marks, 2, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Trap 3: what arrived in a crash is ours if the source says so, by GUID alone.
func TestAdoptable(t *testing.T) {
	snaps, marks := points("nvme/a", 2), []Bookmark{mark(1)}
	for guid, want := range map[GUID]bool{1: true, 2: true, 3: false} {
		s := Snapshot{Dataset: "hdd/a", Name: point("", 2).Name, GUID: guid}
		if got := Adoptable(s, snaps, marks); got != want {
			t.Errorf("guid %s: got %v, want %v", guid, got, want)
		}
	}
}
