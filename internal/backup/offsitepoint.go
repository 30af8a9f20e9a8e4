package backup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Properties of the offsite copy, on the copied datasets themselves: the engine's
// database is disposable, and what the operator allowed is not in a history.
// Each holds an entry for every target, see TargetValue.
const (
	PropOffsite = "triplicate:offsite"      // the pinned format: files
	PropHeld    = "triplicate:offsite-held" // what a run held back, for triplicate ack to show
	PropAck     = "triplicate:offsite-ack"  // what the operator allowed, for the next commit
)

// ClassOffsite marks snapshots that exist for an offsite copy only. Their name is
// not of the pattern that the tiers of Keep decide on.
const ClassOffsite = "offsite"

// FormatFiles is the format in which every file is an object.
const FormatFiles = "files"

// OffsiteTag is the hold on a snapshot while it is uploaded to target.
func OffsiteTag(target string) string { return "triplicate-offsite-" + target }

// OffsiteName is the name of a snapshot, after the @, or of a bookmark, after the
// #, of target's copy. The colons keep it apart from every replica's.
func OffsiteName(prefix, target string, stamp Stamp) string {
	return prefix + ":offsite:" + target + ":" + string(stamp)
}

// OffsiteStamp reads the stamp out of such a name; false if it is not target's.
func OffsiteStamp(prefix, target, name string) (Stamp, bool) {
	rest, ok := strings.CutPrefix(name, prefix+":offsite:"+target+":")
	if !ok {
		return "", false
	}
	_, err := Stamp(rest).Time()
	return Stamp(rest), err == nil
}

// OffsiteWay is how a dataset goes offsite.
type OffsiteWay string

// The ways: from a snapshot that is there anyway, or from one taken for it.
const (
	WayNone  OffsiteWay = ""
	WayOwn   OffsiteWay = "snapshot" // the newest of the row's snapshots, or of the received ones
	WayTaken OffsiteWay = "taken"    // a snapshot of class offsite
)

// OffsiteOf says how a dataset goes offsite, or why it does not, with the outcome
// that this is. A locked dataset is skipped, never copied in another format.
func OffsiteOf(c Covered) (way OffsiteWay, outcome Outcome, reason string) {
	d := c.Dataset
	switch {
	case d.Type != Filesystem:
		return WayNone, NotCovered, "volumes are not copied offsite by this version"
	case d.Encrypted && !d.KeyLoaded:
		return WayNone, Skipped, "its key is not loaded"
	case c.Replica != nil, c.Snapshotted():
		return WayOwn, OK, ""
	}
	return WayTaken, OK, ""
}

// Committed is the bookmark of the point that target's copy holds, the newest if
// a crash left two.
func Committed(prefix, target string, marks []Bookmark) (Bookmark, bool) {
	var newest Bookmark
	for _, b := range marks {
		if _, ours := OffsiteStamp(prefix, target, b.Name); ours && b.CreateTXG >= newest.CreateTXG {
			newest = b
		}
	}
	return newest, newest.GUID != 0
}

// TargetValue reads one target's entry of a property: "aws=... b2=...". Only a
// local value counts; a child dataset inherits its parent's.
func TargetValue(p Property, target string) string {
	if !p.Local() {
		return ""
	}
	for _, f := range strings.Fields(p.Value) {
		if v, ok := strings.CutPrefix(f, target+"="); ok {
			return v
		}
	}
	return ""
}

// WithTargetValue is the property's value with one target's entry changed, or, with
// an empty value, without it. It is "-" when none is left.
func WithTargetValue(p Property, target, value string) string {
	var fields []string
	if p.Local() {
		fields = strings.Fields(p.Value)
	}
	fields = slices.DeleteFunc(fields, func(f string) bool { return f == "-" || strings.HasPrefix(f, target+"=") })
	if value != "" {
		fields = append(fields, target+"="+value)
	}
	if len(fields) == 0 {
		return "-"
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

// String is the form in which an approval, or what was held, stands in a property:
// dataset guid, uploads, bytes, gone and US dollars, with commas.
func (a Approval) String() string {
	return fmt.Sprintf("%s,%d,%d,%d,%.2f", a.Dataset, a.Uploads, a.Bytes, a.Gone, a.USD)
}

// ParseApproval reads that form; nil for anything else, which approves nothing.
func ParseApproval(s string) *Approval {
	f := strings.Split(s, ",")
	if len(f) != 5 {
		return nil
	}
	guid, err := ParseGUID(f[0])
	a := Approval{Dataset: guid}
	errs := []error{err}
	for i, n := range []*int{&a.Uploads, nil, &a.Gone} {
		if n != nil {
			*n, err = strconv.Atoi(f[i+1])
			errs = append(errs, err)
		}
	}
	a.Bytes, err = strconv.ParseInt(f[2], 10, 64)
	errs = append(errs, err)
	a.USD, err = strconv.ParseFloat(f[4], 64)
	for _, err := range append(errs, err) {
		if err != nil {
			return nil
		}
	}
	return &a
}

// Held is what a run that was held back would have done.
func Held(guid GUID, c Change) Approval {
	return Approval{Dataset: guid, Uploads: c.Upload, Bytes: c.UploadBytes, Gone: c.Gone, USD: c.UploadUSD()}
}

// Allow is the approval that the operator's yes to what was held means: a quarter
// more, because a day will have passed when the next run uploads it.
func (a Approval) Allow() Approval {
	return Approval{
		Dataset: a.Dataset, Uploads: a.Uploads + a.Uploads/4 + 100, Bytes: a.Bytes + a.Bytes/4 + 1<<30,
		Gone: a.Gone + a.Gone/4, USD: a.USD*1.25 + 0.10,
	}
}
