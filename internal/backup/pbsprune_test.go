package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the vectors, whatever the machine has

	"github.com/google/go-cmp/cmp"
)

// vendorVectors are the golden prune vectors that lie beside the repository, not
// in it; nil, and said so, where they do not.
func vendorVectors(t *testing.T) []pruneVector {
	t.Helper()
	dir := os.Getenv("TRIPLICATE_PROXMOX_API")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "proxmox-api")
	}
	data, err := os.ReadFile(filepath.Join(dir, "prune-vectors.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("prune vectors NOT checked: no prune-vectors.json in %s (set TRIPLICATE_PROXMOX_API)", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []pruneVector `json:"vectors"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

type pruneVector struct {
	Name      string         `json:"name"`
	Timezone  string         `json:"timezone"`
	Keep      map[string]int `json:"keep"`
	Snapshots []struct {
		Epoch     int64  `json:"epoch"`
		Mark      string `json:"mark"` // keep, keep-partial, protected or remove
		Protected bool   `json:"protected"`
		Complete  *bool  `json:"complete"` // absent: it is
	} `json:"snapshots"`
}

func TestPBSPruneKeepsWhatTheGoldenVectorsSay(t *testing.T) {
	vectors := vendorVectors(t)
	if len(vectors) != 13 {
		t.Errorf("%d vectors, want 13", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			zone, err := time.LoadLocation(v.Timezone)
			if err != nil {
				t.Fatal(err)
			}
			var backups []GuestBackup
			want := map[int64]PruneMark{}
			for _, s := range v.Snapshots {
				backups = append(backups, GuestBackup{
					Group: "vm/101", Time: time.Unix(s.Epoch, 0), Protected: s.Protected,
					Finished: s.Complete == nil || *s.Complete,
				})
				want[s.Epoch] = PruneMark{Keep: s.Mark != "remove", Protected: s.Mark == "protected"}
			}
			keep := Keep{
				Hourly: v.Keep["keep-hourly"], Daily: v.Keep["keep-daily"], Weekly: v.Keep["keep-weekly"],
				Monthly: v.Keep["keep-monthly"], Yearly: v.Keep["keep-yearly"],
			}
			got := map[int64]PruneMark{}
			for _, m := range PBSPruneLast(backups, v.Keep["keep-last"], keep, zone) {
				got[m.Time.Unix()] = PruneMark{Keep: m.Keep, Protected: m.Protected}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

// backupsAt makes finished backups; a time may be followed by unfinished and protected.
func backupsAt(t *testing.T, times ...string) []GuestBackup {
	t.Helper()
	var out []GuestBackup
	for _, s := range times {
		s, word, _ := strings.Cut(s, " ")
		at, err := time.Parse("2006-01-02T15:04Z", s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, GuestBackup{
			Group: "vm/101", Time: at,
			Finished:  !strings.Contains(word, "unfinished"),
			Protected: strings.Contains(word, "protected"),
		})
	}
	return out
}

func keptTimes(marks []PruneMark) []string {
	var out []string
	for _, m := range marks {
		if m.Keep {
			out = append(out, m.Time.UTC().Format("2006-01-02T15:04Z"))
		}
	}
	return out
}

func TestPBSPrune(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		backups []string
		keep    Keep
		zone    *time.Location
		want    []string
	}{
		"tiers are stacked: the week of a kept day takes no place of the weeks": {
			[]string{"2026-11-01T02:00Z", "2026-11-08T02:00Z", "2026-11-15T02:00Z", "2026-11-17T02:00Z", "2026-11-18T02:00Z"},
			Keep{Daily: 1, Weekly: 2}, time.UTC,
			[]string{"2026-11-18T02:00Z", "2026-11-15T02:00Z", "2026-11-08T02:00Z"},
		},
		"no tier keeps everything, even what is unfinished": {
			[]string{"2026-11-01T02:00Z unfinished", "2026-11-02T02:00Z"},
			Keep{}, time.UTC,
			[]string{"2026-11-02T02:00Z", "2026-11-01T02:00Z"},
		},
		"the newest unfinished one stays and covers no day": {
			[]string{"2026-11-01T02:00Z", "2026-11-02T02:00Z", "2026-11-02T03:00Z unfinished"},
			Keep{Daily: 1}, time.UTC,
			[]string{"2026-11-02T03:00Z", "2026-11-02T02:00Z"},
		},
		"an unfinished one with a newer finished one goes": {
			[]string{"2026-11-01T02:00Z unfinished", "2026-11-02T02:00Z"},
			Keep{Daily: 3}, time.UTC,
			[]string{"2026-11-02T02:00Z"},
		},
		"of two unfinished ones the older goes": {
			[]string{"2026-11-01T02:00Z", "2026-11-02T01:00Z unfinished", "2026-11-02T02:00Z unfinished"},
			Keep{Daily: 3}, time.UTC,
			[]string{"2026-11-02T02:00Z", "2026-11-01T02:00Z"},
		},
		"a protected one stays beside its day's kept one": {
			[]string{"2026-11-01T02:00Z", "2026-11-02T02:00Z", "2026-11-02T03:00Z protected"},
			Keep{Daily: 1}, time.UTC,
			[]string{"2026-11-02T03:00Z", "2026-11-02T02:00Z"},
		},
		"a protected unfinished one stays": {
			[]string{"2026-11-01T02:00Z protected unfinished", "2026-11-02T02:00Z"},
			Keep{Daily: 1}, time.UTC,
			[]string{"2026-11-02T02:00Z", "2026-11-01T02:00Z"},
		},
		"empty days do not count": {
			[]string{"2025-01-01T02:00Z", "2026-01-01T02:00Z", "2026-11-02T02:00Z"},
			Keep{Daily: 2}, time.UTC,
			[]string{"2026-11-02T02:00Z", "2026-01-01T02:00Z"},
		},
		"days are those of the server's zone": {
			[]string{"2026-11-19T22:30Z", "2026-11-19T23:30Z"},
			Keep{Daily: 2}, berlin,
			[]string{"2026-11-19T23:30Z", "2026-11-19T22:30Z"},
		},
		"the hour that clocks show twice is one": {
			[]string{"2026-10-25T00:30Z", "2026-10-25T01:30Z"},
			Keep{Hourly: 5}, berlin,
			[]string{"2026-10-25T01:30Z"},
		},
		"the first days of January may be in last year's week": {
			[]string{"2026-12-31T02:00Z", "2027-01-03T02:00Z", "2027-01-04T02:00Z"},
			Keep{Weekly: 5}, time.UTC,
			[]string{"2027-01-04T02:00Z", "2027-01-03T02:00Z"},
		},
		"all keeps every month": {
			[]string{"2024-01-01T02:00Z", "2025-01-01T02:00Z", "2026-01-01T02:00Z", "2026-01-02T02:00Z"},
			Keep{Monthly: All}, time.UTC,
			[]string{"2026-01-02T02:00Z", "2025-01-01T02:00Z", "2024-01-01T02:00Z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := PBSPrune(backupsAt(t, test.backups...), test.keep, test.zone)
			if diff := cmp.Diff(test.want, keptTimes(got)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if len(got) != len(test.backups) {
				t.Errorf("%d marks for %d backups", len(got), len(test.backups))
			}
		})
	}
}

// randomGroup is up to 60 backups, clumped and scattered over a year.
func randomGroup(r *rand.Rand) []GuestBackup {
	seen := map[int64]bool{}
	var out []GuestBackup
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range r.IntN(60) {
		at = at.Add(time.Duration(1+r.IntN(400)) * 10 * time.Minute)
		if r.IntN(5) == 0 {
			at = at.Add(time.Duration(r.IntN(30*24)) * time.Hour)
		}
		if seen[at.Unix()] {
			continue
		}
		seen[at.Unix()] = true
		out = append(out, GuestBackup{
			Group: "vm/101", Time: at, Finished: r.IntN(10) > 0, Protected: r.IntN(12) == 0,
		})
	}
	return out
}

func randomPBSKeep(r *rand.Rand) Keep {
	n := func() int { return max(-1, r.IntN(7)-2) } // now and then all, often none
	return Keep{Hourly: n(), Daily: n(), Weekly: n(), Monthly: n(), Yearly: n()}
}

func TestPBSPruneProperties(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		backups, keep := randomGroup(r), randomPBSKeep(r)
		first := PBSPrune(backups, keep, berlin)

		shuffled := slices.Clone(backups)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(first, PBSPrune(shuffled, keep, berlin)); diff != "" {
			t.Fatalf("seed %d, %v: order matters:\n%s", seed, keep, diff)
		}

		left := map[int64]bool{}
		for _, m := range first {
			left[m.Time.Unix()] = m.Keep
		}
		var rest []GuestBackup
		for _, b := range backups {
			if b.Protected && !left[b.Time.Unix()] {
				t.Fatalf("seed %d, %v: protected %s goes", seed, keep, b.ID())
			}
			if left[b.Time.Unix()] {
				rest = append(rest, b)
			}
		}
		for _, m := range PBSPrune(rest, keep, berlin) {
			if !m.Keep {
				t.Fatalf("seed %d, %v: a second prune takes %s", seed, keep, m.Time)
			}
		}
		newestStays(t, seed, backups, left)
	}
}

// newestStays: whatever the tiers, the newest finished backup is kept.
func newestStays(t *testing.T, seed uint64, backups []GuestBackup, left map[int64]bool) {
	t.Helper()
	for _, b := range slices.Backward(backups) {
		if b.Finished {
			if !left[b.Time.Unix()] {
				t.Fatalf("seed %d: the newest finished backup %s goes", seed, b.ID())
			}
			return
		}
	}
}

func TestHorizonIsTheOldestBackupThatCanBeRestored(t *testing.T) {
	backups := backupsAt(t, "2026-10-01T02:00Z", "2026-10-02T02:00Z", "2026-10-03T02:00Z", "2026-10-04T02:00Z unfinished")
	backups[1].Verified = VerifiedFailed
	marks := []PruneMark{{Time: backups[0].Time}}
	for _, b := range backups[1:] {
		marks = append(marks, PruneMark{Time: b.Time, Keep: true})
	}
	if got, want := Horizon(backups, marks), backups[2].Time; !got.Equal(want) {
		t.Errorf("horizon %s, want %s", got, want)
	}
	if got := Horizon(backups[3:], marks[3:]); !got.IsZero() {
		t.Errorf("horizon %s of an unfinished backup, want none", got)
	}
}
