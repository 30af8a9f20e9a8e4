package backup

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// GUID is ZFS's identity of a dataset, snapshot or bookmark. Names are moved and
// reused; a GUID is not, and a replica's snapshot has its source's GUID. In JSON
// it is a decimal string, for it does not fit a float64.
type GUID uint64

// String is the decimal form that zfs(8) prints.
func (g GUID) String() string { return strconv.FormatUint(uint64(g), 10) }

// ParseGUID reads the decimal form that zfs(8) prints.
func ParseGUID(s string) (GUID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("guid %q: not an unsigned 64-bit number", s)
	}
	return GUID(n), nil
}

// MarshalJSON writes the GUID as a string.
func (g GUID) MarshalJSON() ([]byte, error) { return json.Marshal(g.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (g *GUID) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	n, err := ParseGUID(s)
	*g = n
	return err
}

// DatasetType is filesystem or volume.
type DatasetType string

// The two kinds of dataset that hold data.
const (
	Filesystem DatasetType = "filesystem"
	Volume     DatasetType = "volume"
)

// Property is a ZFS property's value and where it comes from.
type Property struct {
	Value  string `json:"value"`
	Source string `json:"source"` // "local", "received", "inherited from tank/a", "default", "none" or "-"
}

// Local says whether the property was set on this very object. A dataset's user
// property shows on its snapshots as inherited, so only a local one marks a
// snapshot as ours.
func (p Property) Local() bool { return p.Source == "local" }

// Dataset is a filesystem or volume as one listing saw it. Sizes are bytes.
type Dataset struct {
	Name        string              `json:"name"`
	Type        DatasetType         `json:"type"`
	GUID        GUID                `json:"guid"`
	CreateTXG   uint64              `json:"createtxg"`
	Mounted     bool                `json:"mounted"`
	Encrypted   bool                `json:"encrypted"`
	KeyLoaded   bool                `json:"keyLoaded"` // true too when not encrypted
	ReadOnly    bool                `json:"readOnly"`
	Origin      string              `json:"origin,omitempty"`      // the snapshot it was cloned from
	ResumeToken string              `json:"resumeToken,omitempty"` // set while a partial receive is kept
	Used        int64               `json:"used"`
	Available   int64               `json:"available"`
	Referenced  int64               `json:"referenced"`
	Written     int64               `json:"written"`              // since its newest snapshot
	Properties  map[string]Property `json:"properties,omitempty"` // the triplicate:* ones
}

// Snapshot is a snapshot as the fast listing (name, guid, createtxg) sees it.
type Snapshot struct {
	Dataset   string `json:"dataset"`
	Name      string `json:"name"` // the part after @
	GUID      GUID   `json:"guid"`
	CreateTXG uint64 `json:"createtxg"`
}

// String is dataset@name.
func (s Snapshot) String() string { return s.Dataset + "@" + s.Name }

// Bookmark is what remains of a snapshot once its data is gone: enough to be the
// base of an incremental send, at no cost of space.
type Bookmark struct {
	Dataset   string `json:"dataset"`
	Name      string `json:"name"` // the part after #
	GUID      GUID   `json:"guid"` // of the snapshot it was made from
	CreateTXG uint64 `json:"createtxg"`
}

// String is dataset#name.
func (b Bookmark) String() string { return b.Dataset + "#" + b.Name }

// ByCreateTXG orders snapshots of one dataset as they came to be. Names and
// clocks lie; createtxg does not.
func ByCreateTXG(a, b Snapshot) int {
	return cmp.Or(cmp.Compare(a.CreateTXG, b.CreateTXG), cmp.Compare(a.Name, b.Name))
}

// SnapshotFacts are the slow columns of a snapshot, read only for what is about
// to be destroyed or adopted.
type SnapshotFacts struct {
	Snapshot
	Creation   time.Time           // seconds, UTC
	UserRefs   int                 // number of holds
	Clones     []string            // datasets cloned from it
	Mounted    bool                // mounted somewhere, as a .zfs automount or by us
	Properties map[string]Property // the triplicate:* ones
}

// Hold is one tag on one snapshot.
type Hold struct {
	Snapshot string // dataset@name
	Tag      string
	Since    time.Time
}

// Token is what a resume token says of the stream that it continues.
type Token struct {
	ToName   string // dataset@name on the source, as it was then
	ToGUID   GUID
	FromGUID GUID // 0 for a full stream
	Raw      bool
	Bytes    int64 // already received
}

// Pool is a pool's state. Sizes are bytes.
type Pool struct {
	Name     string `json:"name"`
	Health   string `json:"health"` // ONLINE, DEGRADED, SUSPENDED ...
	ReadOnly bool   `json:"readOnly"`
	Size     int64  `json:"size"`
	Free     int64  `json:"free"`
}

// PoolOf is the pool that a dataset or snapshot belongs to.
func PoolOf(name string) string {
	pool, _, _ := strings.Cut(name, "/")
	pool, _, _ = strings.Cut(pool, "@")
	return pool
}

// Under says whether dataset is root or lies below it.
func Under(dataset, root string) bool {
	return dataset == root || strings.HasPrefix(dataset, root+"/")
}

// Transfer is one zfs send piped into one zfs receive.
type Transfer struct {
	To        Snapshot  // what to send
	From      *Snapshot // incremental base, a snapshot of the source; at most one of
	FromMark  *Bookmark // these two is set, none for a full stream
	Token     string    // resume this instead; To then is what the token stands for
	Raw       bool      // send -w: encrypted blocks as they are
	Type      DatasetType
	Target    string            // the replica's dataset
	NewTarget bool              // the receive creates Target: its properties are set with it
	Props     map[string]string // triplicate:* properties for a new target
}
