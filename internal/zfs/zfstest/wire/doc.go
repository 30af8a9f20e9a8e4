// Package wire lends a fake host to other processes: the real daemon and command,
// built with the tag fakezfs, reach pools that live in one process (the demo, a
// test) over a Unix socket. The contract runs on it too. A connection carries one
// call; a mount lasts as long as its connection, so that a killed daemon's ends.
package wire

import (
	"context"
	"encoding/gob"
	"errors"

	"triplicate/internal/backup"
)

// request begins a connection; the call's arguments follow it.
type request struct{ Method string }

// reply ends a call; its results follow unless it failed.
type reply struct {
	Text string
	Is   []int // what the error is: places in sentinels
}

// sentinels are what callers ask errors for.
var sentinels = []error{
	backup.ErrNotFound, backup.ErrExists, backup.ErrHeld, backup.ErrCloned, backup.ErrBusy, backup.ErrNoSpace,
	backup.ErrReadOnlyPool, backup.ErrSuspended, backup.ErrKeyUnavailable, backup.ErrModified, backup.ErrDiverged,
	backup.ErrIncomplete, backup.ErrReadError, backup.ErrStalled, backup.ErrNoParent, backup.ErrPartial,
	backup.ErrStaleToken, backup.ErrChanged, backup.ErrPermission, context.Canceled, context.DeadlineExceeded,
}

func replyOf(err error) (r reply) {
	if err == nil {
		return r
	}
	r.Text = err.Error()
	for i, s := range sentinels {
		if errors.Is(err, s) {
			r.Is = append(r.Is, i)
		}
	}
	return r
}

func (r reply) error() error {
	if r.Text == "" {
		return nil
	}
	e := &failure{text: r.Text}
	for _, i := range r.Is {
		e.is = append(e.is, sentinels[i])
	}
	return e
}

// failure is an error that came over the wire.
type failure struct {
	text string
	is   []error
}

func (e *failure) Error() string   { return e.text }
func (e *failure) Unwrap() []error { return e.is }

// codec is one connection's two directions.
type codec struct {
	*gob.Encoder
	*gob.Decoder
}
