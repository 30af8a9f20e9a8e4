package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"triplicate/internal/backup"
)

// Failure types that a workflow or the Web UI can tell apart.
const (
	TypeNotConfigured  = "NotConfigured"  // the name means nothing in this config
	TypeNotFound       = "NotFound"       // the dataset or pool is gone
	TypeDiverged       = "Diverged"       // source and replica share no base
	TypeModified       = "Modified"       // the replica was written to
	TypeKeyUnavailable = "KeyUnavailable" // encryption key not loaded
	TypeNoSpace        = "NoSpace"        // pool full or quota reached
	TypeReadOnlyPool   = "ReadOnlyPool"
	TypeSuspended      = "Suspended"
	TypePermission     = "Permission"
	TypePartial        = "Partial"     // a partial receive that is not ours to abort
	TypeNoParent       = "NoParent"    // the dataset above is not on the replica yet
	TypeReadError      = "ReadError"   // the source's pool cannot read what is to be sent
	TypeCredentials    = "Credentials" // token or key wrong, expired or revoked
	TypeForbidden      = "Forbidden"   // token or key right, but without the privilege
	TypeFingerprint    = "Fingerprint" // another certificate than the pinned one
	TypeRefused        = "Refused"     // the server said no, and will again
	TypeClockSkew      = "ClockSkew"
	TypeTwoWriters     = "TwoWriters"  // somebody else writes manifests of the same dataset
	TypeManifest       = "Manifest"    // a manifest in the bucket is damaged or not ours
	TypeStampTooOld    = "StampTooOld" // too late for this stamp; another one is right
)

// Failure types that are tried again, each in its own time.
const (
	TypeUnclear     = "Unclear" // the answer was lost: look for a minute before asking again
	TypeUnreachable = "Unreachable"
	TypeStalled     = "Stalled" // no byte moved for too long; what arrived is kept
)

// ErrNotConfigured is what a made-up name meets: a workflow named something that
// the config does not have. Inputs are names only.
var ErrNotConfigured = errors.New("not in the config")

// ErrStampTooOld means that it is too late, or too early, to take a snapshot by this stamp.
var ErrStampTooOld = errors.New("the time in the name is not now, and nothing is back-dated")

// permanent is the one table of what no retry can cure. A full pool is in it
// because a retry within the night would only meet it again; the next night is
// the retry.
var permanent = []struct {
	err  error
	kind string
}{
	{ErrNotConfigured, TypeNotConfigured},
	{ErrStampTooOld, TypeStampTooOld},
	{backup.ErrDiverged, TypeDiverged},
	{backup.ErrModified, TypeModified},
	{backup.ErrKeyUnavailable, TypeKeyUnavailable},
	{backup.ErrNoSpace, TypeNoSpace},
	{backup.ErrReadOnlyPool, TypeReadOnlyPool},
	{backup.ErrSuspended, TypeSuspended},
	{backup.ErrPermission, TypePermission},
	{backup.ErrPartial, TypePartial},
	{backup.ErrNoParent, TypeNoParent},
	{backup.ErrReadError, TypeReadError},
	{backup.ErrCredentials, TypeCredentials},
	{backup.ErrForbidden, TypeForbidden},
	{backup.ErrFingerprint, TypeFingerprint},
	{backup.ErrClockSkew, TypeClockSkew},
	{backup.ErrRefused, TypeRefused},
	{backup.ErrTwoWriters, TypeTwoWriters},
	{backup.ErrManifest, TypeManifest},
	{backup.ErrPath, TypeManifest},
	{backup.ErrNotFound, TypeNotFound},
}

// passing are failures that a retry may cure, but that a reader of the history
// should be able to tell apart.
var passing = []struct {
	err  error
	kind string
}{
	{backup.ErrUnclear, TypeUnclear},
	{backup.ErrUnreachable, TypeUnreachable},
	{backup.ErrStalled, TypeStalled},
}

// failure turns an error into what Temporal is told: permanent ones with their
// type, everything else to be tried again. Text is bounded, because Temporal
// cuts failures over 4 KB, and the end (the cause) is what matters. A cancelled step
// stays one: its error is context.Canceled, or that context's cause, the SDK's own.
func failure(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || temporal.IsCanceledError(err) {
		return err
	}
	text := err.Error()
	if len(text) > maxFailure {
		text = text[:maxFailure/2] + " ... " + text[len(text)-maxFailure/2:]
	}
	for _, p := range permanent {
		if errors.Is(err, p.err) {
			return temporal.NewNonRetryableApplicationError(text, p.kind, nil)
		}
	}
	for _, p := range passing {
		if errors.Is(err, p.err) {
			return temporal.NewApplicationError(text, p.kind)
		}
	}
	return errors.New(text)
}

const maxFailure = 2000

// isPermanent says whether no retry can cure an error.
func isPermanent(err error) bool {
	for _, p := range permanent {
		if errors.Is(err, p.err) {
			return true
		}
	}
	return false
}
