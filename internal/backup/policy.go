package backup

import (
	"fmt"
	"time"
)

// FrequencyKind says how often a row is due.
type FrequencyKind string

// The frequencies there are, exactly.
const (
	Disabled FrequencyKind = "disabled"
	EachHour FrequencyKind = "hourly"
	EachDay  FrequencyKind = "daily"
)

// TimeOfDay is a wall-clock time in the policy's zone.
type TimeOfDay struct {
	Hour   int `json:"hour"`
	Minute int `json:"minute"`
}

// String is HH:MM.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", t.Hour, t.Minute) }

// Minutes counts from midnight.
func (t TimeOfDay) Minutes() int { return t.Hour*60 + t.Minute }

// Frequency is `hourly`, `daily at HH:MM` or `disabled`.
type Frequency struct {
	Kind FrequencyKind `json:"kind"`
	At   TimeOfDay     `json:"at,omitzero"` // when daily
}

// String is the form used in the config.
func (f Frequency) String() string {
	if f.Kind == EachDay {
		return "daily at " + f.At.String()
	}
	return string(f.Kind)
}

// Keep is a retention policy: how many calendar slots of each tier keep their
// newest snapshot. Zero turns a tier off, All keeps every slot.
type Keep struct {
	Hourly  int `json:"hourly,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
	Yearly  int `json:"yearly,omitempty"`
}

// All as a tier's number keeps every slot.
const All = -1

// Row is one line of the user's table: a dataset and everything below it, unless
// a more specific row or an exclude says otherwise.
type Row struct {
	Dataset   string    `json:"dataset"`
	Frequency Frequency `json:"frequency"`
	Keep      Keep      `json:"keep"`
	Exclude   []string  `json:"exclude,omitempty"` // datasets (with everything below) that the row leaves out
}

// Replica is a copy of Source and everything below it, on another pool, at Target.
type Replica struct {
	Name   string    `json:"name"` // unique; part of workflow IDs, bookmarks and holds
	Source string    `json:"source"`
	Target string    `json:"target"`
	At     TimeOfDay `json:"at"`
}

// Stage is one step of a night.
type Stage string

// The stages of a night, in their order.
const (
	StageSnapshot  Stage = "snapshot"
	StageProxmox   Stage = "proxmox"
	StageReplicate Stage = "replicate"
	StageOffsite   Stage = "offsite"
)

// Stages lists them in their order.
func Stages() []Stage { return []Stage{StageSnapshot, StageProxmox, StageReplicate, StageOffsite} }

// Policy is all that the operator decided, with every name resolved. Config makes
// it; decisions read it. It holds no secret.
type Policy struct {
	Host     string // in every workflow ID, schedule ID and task queue
	Prefix   string // of snapshot names, "triplicate" unless set
	Zone     *time.Location
	Rows     []Row
	Replicas []Replica
	Proxmox  *ProxmoxPolicy  // nil: not configured
	Offsite  []OffsitePolicy // empty: not configured
	// LatestEnd is when the next stage starts although this one has not ended.
	LatestEnd map[Stage]TimeOfDay
}

// ProxmoxPolicy is when guests are backed up and how many backups PBS keeps.
type ProxmoxPolicy struct {
	At        TimeOfDay `json:"at"`
	Storage   string    `json:"storage"`   // Proxmox VE's name of the PBS storage
	Datastore string    `json:"datastore"` // PBS's own name of it
	Namespace string    `json:"namespace,omitempty"`
	Keep      Keep      `json:"keep"`
	Exclude   []int     `json:"exclude,omitempty"`  // VMIDs
	PBSGuest  int       `json:"pbsGuest,omitempty"` // VMID of the container that PBS runs in; 0: not a guest
	// Dataset is the dataset that the datastore is on; empty: not on this host.
	Dataset string `json:"dataset,omitempty"`
}

// OffsitePolicy is one offsite target.
type OffsitePolicy struct {
	Name   string    `json:"name"`
	At     TimeOfDay `json:"at"`
	Pool   string    `json:"pool"`
	Bucket string    `json:"bucket"`
	Prefix string    `json:"prefix,omitempty"`
	CapUSD float64   `json:"capUSD"` // a run that costs more waits for approval; 0: no cap
}
