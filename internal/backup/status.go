package backup

import (
	"slices"
	"time"
)

// CopyState is one copy of a dataset as it was just seen.
type CopyState string

// The states of a copy. Unknown is never green: it means that nobody could look.
const (
	CopyFresh   CopyState = "fresh"
	CopyOld     CopyState = "too old"
	CopyMissing CopyState = "missing"
	CopyUnknown CopyState = "unknown"
	CopyNone    CopyState = "-" // this dataset is not meant to have such a copy
	// CopyDamaged: the newest point is there, and its verification failed.
	CopyDamaged CopyState = "damaged"
	// CopyUncovered: it should have such a copy, but this way cannot make one.
	CopyUncovered CopyState = "not covered"
)

// Copy is a dataset's newest point on one medium.
type Copy struct {
	State  CopyState     `json:"state"`
	Where  string        `json:"where,omitempty"`
	Newest time.Time     `json:"newest,omitzero"` // UTC, the instant in the point's name
	Age    time.Duration `json:"ageNs,omitempty"`
	Points int           `json:"points,omitempty"`
	Note   string        `json:"note,omitempty"`
}

// Grace is how old the newest point of a copy may be: two turns of its schedule,
// less for nights, so that one missed run shows and a late one does not.
func Grace(f FrequencyKind) time.Duration {
	if f == EachHour {
		return 2 * time.Hour
	}
	return 30 * time.Hour
}

// CopyOf judges a copy by its snapshots of our pattern.
func CopyOf(prefix, where string, snaps []Snapshot, f FrequencyKind, now time.Time) Copy {
	points, newest := 0, time.Time{}
	for _, s := range snaps {
		stamp, ours := StampIn(prefix, s.Name)
		if !ours {
			continue
		}
		points++
		if at, err := stamp.Time(); err == nil && at.After(newest) {
			newest = at
		}
	}
	return CopyAt(where, newest, points, f, now)
}

// CopyAt judges a copy by the instant of its newest point.
func CopyAt(where string, newest time.Time, points int, f FrequencyKind, now time.Time) Copy {
	c := Copy{State: CopyMissing, Where: where, Points: points}
	if points == 0 {
		return c
	}
	c.Newest, c.Age, c.State = newest, now.Sub(newest), CopyFresh
	if c.Age > Grace(f) {
		c.State = CopyOld
	}
	if c.Age < -SkewTolerance {
		c.State, c.Note = CopyUnknown, "dated in the future; is the clock right?"
	}
	return c
}

// GuestCopy judges a guest's backups on Proxmox Backup Server.
func GuestCopy(group string, backups []GuestBackup, now time.Time) Copy {
	points := 0
	for _, b := range backups {
		if b.Group == group && b.Finished {
			points++
		}
	}
	newest := NewestBackup(backups, group)
	if newest == nil {
		return Copy{State: CopyMissing, Where: group}
	}
	c := CopyAt(group, newest.Time, points, EachDay, now)
	if newest.Verified == VerifiedFailed {
		c.State, c.Note = CopyDamaged, newest.ID()+" failed its verification"
	}
	return c
}

// WorseCopy is the copy of the two that protects less: where several guests have
// volumes on a dataset, it is as safe as the worst of them.
func WorseCopy(a, b Copy) Copy {
	order := []CopyState{CopyNone, CopyFresh, CopyUnknown, CopyUncovered, CopyOld, CopyDamaged, CopyMissing}
	x, y := slices.Index(order, a.State), slices.Index(order, b.State)
	if y > x || x == y && b.Newest.Before(a.Newest) {
		return b
	}
	return a
}

// DatasetStatus is one dataset and its copies.
type DatasetStatus struct {
	Dataset  string `json:"dataset"`
	Snapshot Copy   `json:"snapshot"`
	Replica  Copy   `json:"replica"`
	Proxmox  Copy   `json:"proxmox"`
	Offsite  Copy   `json:"offsite"`
}

// Safe says whether every copy that the dataset should have is there and fresh.
func (d DatasetStatus) Safe() bool {
	for _, c := range []Copy{d.Snapshot, d.Replica, d.Proxmox, d.Offsite} {
		if c.State != CopyFresh && c.State != CopyNone {
			return false
		}
	}
	return true
}
