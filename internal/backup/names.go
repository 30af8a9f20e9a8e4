package backup

import (
	"fmt"
	"strings"
	"time"
)

// Stamp names a point in time in snapshot names: UTC, to the second, sortable.
type Stamp string

const stampLayout = "20060102T150405Z"

// StampOf is the stamp of t.
func StampOf(t time.Time) Stamp { return Stamp(t.UTC().Format(stampLayout)) }

// Time is the instant that the stamp names.
func (s Stamp) Time() (time.Time, error) {
	t, err := time.Parse(stampLayout, string(s))
	if err != nil || StampOf(t) != s {
		return time.Time{}, fmt.Errorf("stamp %q: want the form 20261122T013000Z", string(s))
	}
	return t, nil
}

// Properties that mark what is ours, all in the triplicate: namespace. A mark
// counts only when its source is local (see Property.Local).
const (
	PropClass  = "triplicate:class"  // on snapshots: periodic
	PropRun    = "triplicate:run"    // on snapshots: the run that took it
	PropSource = "triplicate:source" // on replicas: "<source dataset guid> <source dataset>"
	PropRaw    = "triplicate:raw"    // on replicas: on or off, pinned at the first send
	PropPolicy = "triplicate:policy" // on datasets: the acknowledged retention policy
	PropMass   = "triplicate:mass"   // on datasets: the policy for which a mass destroy was acknowledged
)

// ClassPeriodic marks snapshots that the tiers of Keep decide on.
const ClassPeriodic = "periodic"

// SnapshotName is the name, after the @, of the snapshot taken at stamp.
func SnapshotName(prefix string, stamp Stamp) string { return prefix + "-" + string(stamp) }

// StampIn reads the stamp out of a snapshot's name; false if the name is not of
// our pattern. The pattern alone does not make a snapshot ours.
func StampIn(prefix, name string) (Stamp, bool) {
	rest, ok := strings.CutPrefix(name, prefix+"-")
	if !ok {
		return "", false
	}
	s := Stamp(rest)
	if _, err := s.Time(); err != nil {
		return "", false
	}
	return s, true
}
