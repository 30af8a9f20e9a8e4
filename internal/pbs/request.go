package pbs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
)

// maxAnswer bounds an answer, in bytes: 200 guests with 60 backups each are 8 MiB.
const maxAnswer = 16 << 20

// maxRefusal bounds what is read of an error's text, in bytes; less is kept of it.
const maxRefusal = 4096

// pauses are the waits between tries at reading: together longer than the restart
// of the server's daemon at an upgrade.
var pauses = []time.Duration{time.Second, 3 * time.Second, 9 * time.Second}

// tokenForm is an API token with its secret, which must fit into a header line.
var tokenForm = regexp.MustCompile(`^[^\s:/!@]+@` + safeID + `!` + safeID + `:[!-~]+$`)

// answer is the envelope of every answer.
type answer[T any] struct {
	Data  T   `json:"data"`
	Total int `json:"total"` // of a task's log only
}

// get reads path, trying again what a moment may cure.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (answer[T], error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	for try := 0; ; try++ {
		got, err := ask[T](ctx, c, http.MethodGet, path, nil)
		if err == nil || try == len(pauses) || ctx.Err() != nil || !passing(err) {
			return got, err
		}
		if c.wait(ctx, pauses[try]) != nil {
			return got, err
		}
	}
}

// post writes to path, once. Connections that lie idle are closed before: one that
// the server has closed meanwhile would turn a write into one with a lost answer.
func post[T any](ctx context.Context, c *Client, path string, form url.Values) (T, error) {
	c.http.CloseIdleConnections()
	got, err := ask[T](ctx, c, http.MethodPost, path, form)
	return got.Data, err
}

// ask sends one request and decodes its answer.
func ask[T any](ctx context.Context, c *Client, method, path string, form url.Values) (answer[T], error) {
	var out answer[T]
	body, err := c.send(ctx, method, path, form)
	if err != nil {
		return out, err
	}
	var shape struct {
		Data json.RawMessage `json:"data"`
	}
	err = json.Unmarshal(body, &shape)
	if err == nil && (len(shape.Data) == 0 || string(shape.Data) == "null") {
		err = errors.New("no data") // which must not pass for an empty list
	}
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		// A write was carried out, but what it has started is not known.
		return out, newError(method, path, http.StatusOK, "not the answer of a Proxmox Backup Server: "+err.Error(), unclear(method))
	}
	return out, nil
}

// send sends one request and reads its whole answer. Every error it returns is an
// *Error without the token.
func (c *Client) send(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	token, err := c.readToken()
	if err != nil {
		return nil, newError(method, path, 0, "", err)
	}
	// Whether a connection was there decides what an error means: without one
	// nothing can have been carried out.
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, method, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, newError(method, path, 0, "", errors.New("not a request"))
	}
	req.Header.Set("Authorization", "PBSAPIToken="+token)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, lost(ctx, method, path, connected.Load(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(maxAnswer)
	if resp.StatusCode != http.StatusOK {
		limit = maxRefusal
	}
	var body bytes.Buffer
	n, err := io.Copy(&body, io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		_, secret, _ := strings.Cut(token, ":")
		text := strings.ReplaceAll(body.String(), secret, "(secret)")
		return nil, newError(method, path, resp.StatusCode, text, meaning(method, resp.StatusCode, text))
	case err != nil:
		return nil, lost(ctx, method, path, true, err)
	case n > limit:
		return nil, newError(method, path, resp.StatusCode, fmt.Sprintf("an answer of more than %d bytes", limit), unclear(method))
	}
	return body.Bytes(), nil
}

// readToken asks for the token. What it says of a wrong one does not quote it.
func (c *Client) readToken() (string, error) {
	token, err := c.token()
	if err != nil {
		return "", fmt.Errorf("read the token: %w: %w", backup.ErrCredentials, err)
	}
	token = strings.TrimSpace(token)
	if !tokenForm.MatchString(token) {
		return "", fmt.Errorf("the token is not of the form user@realm!name:secret: %w", backup.ErrCredentials)
	}
	return token, nil
}
