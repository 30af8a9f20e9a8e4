package backup

import "time"

// CopyState is one copy of a dataset as it was just seen.
type CopyState string

// The states of a copy. Unknown is never green: it means that nobody could look.
const (
	CopyFresh   CopyState = "fresh"
	CopyOld     CopyState = "too old"
	CopyMissing CopyState = "missing"
	CopyUnknown CopyState = "unknown"
	CopyNone    CopyState = "-" // this dataset is not meant to have such a copy
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
	c := Copy{State: CopyMissing, Where: where}
	for _, s := range snaps {
		stamp, ours := StampIn(prefix, s.Name)
		if !ours {
			continue
		}
		c.Points++
		if at, err := stamp.Time(); err == nil && at.After(c.Newest) {
			c.Newest = at
		}
	}
	if c.Points == 0 {
		return c
	}
	c.Age = now.Sub(c.Newest)
	c.State = CopyFresh
	if c.Age > Grace(f) {
		c.State = CopyOld
	}
	if c.Age < -SkewTolerance {
		c.State, c.Note = CopyUnknown, "dated in the future; is the clock right?"
	}
	return c
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
