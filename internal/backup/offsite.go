package backup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// EntryType is what a path is.
type EntryType string

// The types of an entry. An object holds the content of files and the targets of
// symlinks; directories are in the manifest only. Other things (sockets, devices,
// pipes) have nothing to copy.
const (
	File    EntryType = "f"
	Symlink EntryType = "l"
	Dir     EntryType = "d"
	Special EntryType = "s"
)

// Entry is one path of a dataset in a manifest. Path is relative to the dataset's
// root, with slashes, and may hold any byte but NUL.
type Entry struct {
	Path string    `json:"path"`
	Type EntryType `json:"type"`
	Size int64     `json:"size,omitempty"` // bytes of a file, length of a symlink's target
	// Mtime is in nanoseconds since 1970: it must come back exactly, or rclone
	// would copy every file again.
	Mtime  int64  `json:"mtime,omitempty"`
	Mode   uint32 `json:"mode,omitempty"` // permission bits with setuid, setgid, sticky, as in st_mode & 07777
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	Target string `json:"target,omitempty"` // of a symlink
	// What the bucket holds for it. Key is empty where it is KeyOf(dataset, path).
	Key     string `json:"key,omitempty"`
	Version string `json:"version,omitempty"`
	CRC64   string `json:"crc64,omitempty"` // of the content, base64
	// Since is the stamp of the manifest that uploaded the content.
	Since Stamp `json:"since,omitempty"`
	// Gone is the stamp at which the path was first missing: a tombstone. The
	// object is still there.
	Gone Stamp `json:"gone,omitempty"`
}

// SameContent says whether b, as a walk saw it, can be taken to have the content
// that a has in the bucket: type, size and time to the nanosecond. A file in a
// snapshot cannot change while it is read, and ctime is of no use, for it is not
// kept on a replica.
func SameContent(a, b Entry) bool {
	return a.Gone == "" && a.Type == b.Type && a.Size == b.Size && a.Mtime == b.Mtime && a.Target == b.Target
}

// SameEntry says whether b needs no new row either.
func SameEntry(a, b Entry) bool {
	return SameContent(a, b) && a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID
}

// ManifestHeader begins a manifest: which point of which dataset it describes, and
// on which older manifest it builds.
type ManifestHeader struct {
	Format   int       `json:"format"` // 1
	Host     string    `json:"host"`
	Dataset  string    `json:"dataset"`
	GUID     GUID      `json:"datasetGuid"`
	Snapshot string    `json:"snapshot"` // the part after @
	Point    GUID      `json:"guid"`     // of the snapshot
	Stamp    Stamp     `json:"stamp"`
	Seq      int       `json:"seq"`            // 1, 2, 3 ... in one dataset's chain
	Base     string    `json:"base,omitempty"` // key of the manifest before; empty: this one is whole
	Created  time.Time `json:"created"`
	Counts   Counts    `json:"counts"`            // of the dataset at this point, not of the delta
	Changed  int       `json:"changed,omitempty"` // rows in this manifest
	// The chain since the last whole manifest: how many build on it, this one
	// included, with how many rows, and how many rows the whole one has.
	Links     int `json:"links,omitempty"`
	LinkRows  int `json:"linkRows,omitempty"`
	WholeRows int `json:"wholeRows,omitempty"`
	// Failed is how many paths could not be read at this point: their rows are
	// those of an older one. A point with failures is not a reason to skip the
	// next survey, even if nothing was written since.
	Failed int `json:"failed,omitempty"`
}

// Counts sums up a dataset's files. Bytes are of content.
type Counts struct {
	Files    int   `json:"files"`
	Bytes    int64 `json:"bytes"`
	Symlinks int   `json:"symlinks,omitempty"`
	Dirs     int   `json:"dirs,omitempty"`
	Specials int   `json:"specials,omitempty"`
}

// Add counts one entry.
func (c *Counts) Add(e Entry) {
	switch {
	case e.Gone != "":
	case e.Type == File:
		c.Files, c.Bytes = c.Files+1, c.Bytes+e.Size
	case e.Type == Symlink:
		c.Symlinks++
	case e.Type == Dir:
		c.Dirs++
	default:
		c.Specials++
	}
}

// Change is what a run would do to a dataset's copy.
type Change struct {
	Upload      int   `json:"upload"`              // objects to put
	UploadBytes int64 `json:"uploadBytes"`         // of content
	Parts       int   `json:"parts,omitempty"`     // of multipart uploads among them
	Large       int   `json:"large,omitempty"`     // multipart uploads
	Replace     int   `json:"replace,omitempty"`   // of the uploads, those that replace an object
	Gone        int   `json:"gone,omitempty"`      // paths that are no longer there
	GoneBytes   int64 `json:"goneBytes,omitempty"` // of what is gone or replaced, as it was
	Meta        int   `json:"meta,omitempty"`      // rows that change without an upload
}

// Empty says that there is nothing to do.
func (c Change) Empty() bool { return c.Upload == 0 && c.Gone == 0 && c.Meta == 0 }

// Prices in US dollars, us-east-1, for GLACIER (Flexible Retrieval). They are
// estimates for the operator's decision, not a bill.
//
// Sources: facts that AWS publishes for PUT, multipart and archive overhead
// (S3 pricing page; "Archiving objects", S3 user guide).
const (
	usdPut         = 3.0e-5   // a PUT straight to GLACIER
	usdComplete    = 3.5e-5   // CreateMultipartUpload + CompleteMultipartUpload
	usdPart        = 5.0e-6   // an UploadPart
	usdMonthGiB    = 0.0036   // storage
	usdMonthObject = 2.853e-7 // 32 KiB at GLACIER and 8 KiB at STANDARD for each archived object
)

// UploadUSD is what the change's requests cost once.
func (c Change) UploadUSD() float64 {
	return float64(c.Upload-c.Large)*usdPut + float64(c.Large)*usdComplete + float64(c.Parts)*usdPart
}

// MonthUSD is what the uploaded objects cost in a month.
func (c Change) MonthUSD() float64 {
	return float64(c.UploadBytes)/(1<<30)*usdMonthGiB + float64(c.Upload)*usdMonthObject
}

// Approval is what the operator has allowed for one dataset's copy: the numbers
// that `triplicate ack offsite` showed, as limits, for the next commit only.
type Approval struct {
	Dataset GUID    `json:"dataset"` // of this very dataset, not of one made anew under its name
	Uploads int     `json:"uploads"` // objects; -1: any number
	Bytes   int64   `json:"bytes"`   // -1: any number
	Gone    int     `json:"gone"`    // -1: any number
	USD     float64 `json:"usd"`     // -1: any price
}

// MonthUSD is what that many objects and bytes cost in a month.
func (a *Approval) MonthUSD() float64 {
	return Change{Upload: a.Uploads, UploadBytes: a.Bytes}.MonthUSD()
}

// covers says whether the approval is for this change.
func (a *Approval) covers(guid GUID, c Change) bool {
	return a != nil && a.Dataset == guid && (a.Uploads < 0 || c.Upload <= a.Uploads) && (a.Bytes < 0 || c.UploadBytes <= a.Bytes) &&
		(a.Gone < 0 || c.Gone <= a.Gone) && (a.USD < 0 || c.UploadUSD() <= a.USD)
}

// GuardInput is what the guard of an offsite copy judges by.
type GuardInput struct {
	Dataset  Dataset
	Before   *ManifestHeader // the last committed point; nil: the first upload
	Change   Change
	SpentUSD float64 // by this run so far
	CapUSD   float64 // for a run; 0: no cap
	Approved *Approval
}

// OffsiteMassPercent is the mass guard of the offsite copy: more than this share of
// a dataset's files or bytes changed or gone at once is held until the operator has
// looked.
const OffsiteMassPercent = 30

// MassMin are the numbers below which the share means nothing.
const (
	massMinFiles = 20
	massMinBytes = 64 << 20
)

// GuardOffsite says whether a change may be uploaded at night, when nobody
// answers. An empty reason means yes; else the dataset is held as needs approval
// and the rest of the run goes on.
func GuardOffsite(in GuardInput) (reason string) {
	c := in.Change
	if in.Approved.covers(in.Dataset.GUID, c) {
		return ""
	}
	if in.Before == nil {
		if c.Upload == 0 { // a dataset without files, such as a pool's root
			return ""
		}
		return fmt.Sprintf("first upload: %d objects, %s, for %s at once and %s a month",
			c.Upload, Bytes(c.UploadBytes), USD(c.UploadUSD()), USD(c.MonthUSD()))
	}
	if in.Before.GUID != in.Dataset.GUID {
		return fmt.Sprintf("%s is not the dataset that was copied: its guid is %s, the copy's %s", in.Dataset.Name, in.Dataset.GUID, in.Before.GUID)
	}
	if in.CapUSD > 0 && in.SpentUSD+c.UploadUSD() > in.CapUSD {
		return fmt.Sprintf("%d objects would cost %s, above the cap of %s a run", c.Upload, USD(c.UploadUSD()), USD(in.CapUSD))
	}
	had := in.Before.Counts
	files := had.Files + had.Symlinks
	changed, changedBytes := c.Replace+c.Gone, c.GoneBytes
	switch {
	case c.Gone > 0 && c.Gone == files && c.Upload == 0:
		return fmt.Sprintf("the dataset is empty, the copy has %d files", files)
	case changed >= massMinFiles && changed*100 > files*OffsiteMassPercent:
		return fmt.Sprintf("%d of %d files changed or are gone (more than %d %%)", changed, files, OffsiteMassPercent)
	case changedBytes >= massMinBytes && changedBytes*100 > had.Bytes*OffsiteMassPercent:
		return fmt.Sprintf("%s of %s are gone or changed (more than %d %%)", Bytes(changedBytes), Bytes(had.Bytes), OffsiteMassPercent)
	}
	return ""
}

// USD writes a price for people.
func USD(v float64) string {
	if v > 0 && v < 0.01 {
		return "less than 1 cent"
	}
	return fmt.Sprintf("%.2f USD", v)
}

// DataPrefix is what the keys of a dataset's objects begin with, below the target's
// prefix. The "@" component cannot be part of a dataset's name, so a folder of the
// parent never meets a child dataset of the same name, and rclone can compare one
// dataset by itself.
func DataPrefix(prefix, dataset string) string { return under(prefix, "data/"+dataset+"/@/") }

// OtherPrefix is what the keys begin with that rclone could not read; see KeyOf.
func OtherPrefix(prefix, dataset string) string { return under(prefix, "data/"+dataset+"/@other/") }

// ManifestsPrefix is what the keys of all manifests of a target begin with.
func ManifestsPrefix(prefix string) string { return under(prefix, "manifests/") }

// ManifestPrefix is what the keys of a dataset's manifests begin with.
func ManifestPrefix(prefix, dataset string) string {
	return under(prefix, "manifests/"+dataset+"/@/")
}

const manifestSuffix = ".jsonl.gz"

// ManifestKey is the key of one manifest. Listed, keys sort in the order of the
// chain.
func ManifestKey(prefix, dataset string, seq int, stamp Stamp, point GUID) string {
	return fmt.Sprintf("%s%08d-%s-%s"+manifestSuffix, ManifestPrefix(prefix, dataset), seq, stamp, point)
}

// ParseManifestKey reads what ManifestKey wrote; false for any other key.
func ParseManifestKey(prefix, key string) (OffsitePoint, bool) {
	rest, ok := strings.CutPrefix(key, ManifestsPrefix(prefix))
	if !ok {
		return OffsitePoint{}, false
	}
	dataset, name, ok := strings.Cut(rest, "/@/")
	parts := strings.Split(strings.TrimSuffix(name, manifestSuffix), "-")
	if !ok || len(parts) != 3 {
		return OffsitePoint{}, false
	}
	p := OffsitePoint{Dataset: dataset, Stamp: Stamp(parts[1]), Key: key}
	var errSeq, errPoint error
	p.Seq, errSeq = strconv.Atoi(parts[0])
	p.Point, errPoint = ParseGUID(parts[2])
	if errSeq != nil || errPoint != nil || ManifestKey(prefix, dataset, p.Seq, p.Stamp, p.Point) != key {
		return OffsitePoint{}, false
	}
	if _, err := p.Stamp.Time(); err != nil {
		return OffsitePoint{}, false
	}
	return p, true
}

func under(prefix, key string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return key
	}
	return prefix + "/" + key
}

// OffsiteJob is one dataset's turn: a snapshot of it, mounted at Dir.
type OffsiteJob struct {
	Dataset  Dataset
	Snapshot Snapshot
	Stamp    Stamp
	Dir      string
}

// Survey is what a walk of a mounted snapshot found against the last manifest.
type Survey struct {
	Before  *ManifestHeader // the last committed point; nil: the first upload
	Change  Change
	Counts  Counts   // of the dataset as it is
	Special []string // some paths that have no content to copy: sockets, devices, pipes
	// Failed paths could not be read: some of them, and how many there are. Their
	// copies stay as they are.
	Failed      []string
	FailedCount int
	Work        string // the engine's own mark of the list that it wrote down
}

// MaxNamed is how many paths a survey or a result names; the rest is only counted.
const MaxNamed = 20

// ErrStale says that the list that a survey wrote down is gone, or is not the one
// that was decided on, or another manifest was written since. Survey again.
var ErrStale = errors.New("the survey is out of date")

// ErrTwoWriters says that somebody else writes manifests of this dataset.
var ErrTwoWriters = errors.New("two writers share this copy")

// OffsiteResult is what a commit did.
type OffsiteResult struct {
	Manifest string // key of the manifest that is now the last: the snapshot's, even if nothing differs in it
	Header   ManifestHeader
	Objects  int   // put by this call
	Bytes    int64 // of content put by this call
	Adopted  int   // objects that an earlier, killed try had put already
	Requests int   // made by this call
	// Failed paths could not be read: some of them, and how many there are. The
	// manifest keeps what it knew of them.
	Failed      []string
	FailedCount int
}

// OffsitePoint is the newest manifest of a dataset, as its key tells it.
type OffsitePoint struct {
	Dataset string    `json:"dataset"`
	Seq     int       `json:"seq"`
	Stamp   Stamp     `json:"stamp"`
	Point   GUID      `json:"guid"` // of the snapshot
	Key     string    `json:"key"`
	Written time.Time `json:"written"` // when the manifest was put
}
