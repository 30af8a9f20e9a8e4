package pbs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"triplicate/internal/backup"
	"triplicate/internal/pin"
)

// maxText bounds what is kept of a text by the server, in bytes.
const maxText = 600

// Error is a request that failed, with what the server said.
type Error struct {
	Request string // method and path
	Code    int    // HTTP status; 0: there was no answer
	Text    string // bounded, on one line
	Err     error  // one of package backup's where one fits, or the cause
}

// Error names the request, what it means and what the server said.
func (e *Error) Error() string {
	parts := []string{e.Request}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	} else if e.Code != http.StatusOK {
		parts = append(parts, fmt.Sprintf("HTTP status %d", e.Code))
	}
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the sentinel that callers decide on.
func (e *Error) Unwrap() error { return e.Err }

func newError(method, path string, code int, text string, err error) *Error {
	path, _, _ = strings.Cut(path, "?")
	return &Error{Request: method + " " + path, Code: code, Text: strings.TrimSpace(oneLine(text, maxText)), Err: err}
}

// said are the texts of refusals that mean more than that. Most errors of a
// Proxmox Backup Server have the status 400, whatever they are about; those of
// permissions come with 403 from its router and with 400 from its handlers
// (pbs-config, CachedUserInfo::check_privs).
var said = []struct {
	text string
	err  error
}{
	{"permission check failed", backup.ErrForbidden},
	{"missing permissions", backup.ErrForbidden},
	{"No space left on device", fmt.Errorf("%w: %w", backup.ErrRefused, backup.ErrNoSpace)},
}

// meaning is what an answer other than 200 means.
func meaning(method string, code int, text string) error {
	switch {
	case code == http.StatusUnauthorized:
		return backup.ErrCredentials
	case code == http.StatusForbidden:
		return backup.ErrForbidden
	case code >= 500 && method != http.MethodGet:
		return backup.ErrUnclear
	case code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return backup.ErrUnreachable // a proxy between us says so
	case code >= 500:
		return nil
	}
	for _, s := range said {
		if strings.Contains(text, s.text) {
			return s.err
		}
	}
	return backup.ErrRefused
}

// unclear is what an answer that cannot be understood means.
func unclear(method string) error {
	if method == http.MethodGet {
		return nil
	}
	return backup.ErrUnclear
}

// lost is what it means that there is no answer.
func lost(ctx context.Context, method, path string, connected bool, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // it would repeat the request
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	written := connected && method != http.MethodGet
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, pin.ErrFingerprint), errors.As(err, &untrusted):
		err = fmt.Errorf("%w: %w", backup.ErrFingerprint, err)
	case written:
		err = fmt.Errorf("%w: %w", backup.ErrUnclear, err)
	case ctx.Err() == nil:
		err = fmt.Errorf("%w: %w", backup.ErrUnreachable, err)
	}
	return newError(method, path, 0, "", err)
}

// passing says whether a moment may cure what reading failed with.
func passing(err error) bool {
	var e *Error
	return errors.Is(err, backup.ErrUnreachable) || errors.As(err, &e) && e.Code >= 500
}

// oneLine makes a text by the server harmless: bounded, and without what would
// start a new line or a terminal's sequence.
func oneLine(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
