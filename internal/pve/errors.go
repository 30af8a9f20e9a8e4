package pve

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"triplicate/internal/backup"
)

// Error is a request that was not carried out, or whose answer was lost.
type Error struct {
	Method, Path string
	Status       int    // of HTTP; 0: there was no answer
	Text         string // the server's words, or the network's: one line, bounded
	Err          error  // one of package backup's, if it is for somebody to decide on
	cause        error  // the context's, if it ended the request
}

// Error names the request and what came of it, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.Method, e.Path)
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d ", e.Status)
	}
	b.WriteString(e.Text)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap gives what callers decide on, and the context's error.
func (e *Error) Unwrap() (errs []error) {
	for _, err := range []error{e.Err, e.cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

var errNonsense = errors.New("not an answer of Proxmox VE")

// maxText bounds a server's text in an error, in bytes.
const maxText = 500

func (b *batch) failure(r request, status int, text string, kind, cause error) error {
	// A server that repeats what it was sent must not get the token into a log.
	_, secret, _ := strings.Cut(b.token, "=")
	text = clip(strings.ReplaceAll(text, secret, "[secret]"), maxText)
	return &Error{Method: r.method, Path: r.path, Status: status, Text: text, Err: kind, cause: cause}
}

// refusal is an answer other than 200. Proxmox VE says why in the status line and,
// unless it could not even authenticate, again in the body.
func (b *batch) refusal(r request, resp *http.Response, body []byte) error {
	_, text, _ := strings.Cut(resp.Status, " ")
	said := text != "" && text != http.StatusText(resp.StatusCode)
	var answer struct {
		Message string            `json:"message"`
		Errors  map[string]string `json:"errors"`
	}
	if json.Unmarshal(body, &answer) == nil {
		if answer.Message != "" {
			text, said = answer.Message, true
		}
		for _, name := range slices.Sorted(maps.Keys(answer.Errors)) {
			text += fmt.Sprintf(" (%s: %s)", name, strings.TrimSpace(answer.Errors[name]))
		}
	}
	return b.failure(r, resp.StatusCode, text, kindOf(r.method, resp.StatusCode, text, said), nil)
}

// kindOf says what a status means. said: the server gave a reason of its own.
func kindOf(method string, status int, text string, said bool) error {
	lost := backup.ErrUnreachable
	if method == http.MethodPost {
		lost = backup.ErrUnclear
	}
	switch {
	case status == http.StatusUnauthorized:
		return backup.ErrCredentials
	case status == http.StatusForbidden:
		return backup.ErrForbidden
	// 595 to 599 are what a node says of its connection to another node
	// (AnyEvent::HTTP); 502 to 504 are what a reverse proxy says.
	case status >= 595 && status <= 599, status >= 502 && status <= 504:
		return lost
	case status < 300: // somebody in between accepted it
		return lost
	// The worker runs already when its node cannot note it down for 10 s
	// (PVE/RESTEnvironment.pm, active_workers).
	case status == http.StatusInternalServerError && (!said || strings.Contains(text, ".active.lock")):
		return lost
	default:
		return backup.ErrRefused
	}
}

// clip makes one printable line of at most n bytes of what somebody else chose.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(strings.Map(printable, text)), " ")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + " ..."
	}
	return text
}

// printable makes a space of what could move a terminal's cursor or turn text around.
func printable(r rune) rune {
	if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
		return ' '
	}
	return r
}
