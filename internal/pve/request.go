package pve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/pin"
)

// maxAnswer bounds an answer, in bytes: 200 guests are 100 KiB, a page of a log 1 MiB.
const maxAnswer = 16 << 20

// batch is the requests of one call of the client; they share one reading of the token.
type batch struct {
	*Client
	token string
}

// begin reads the token. Its text never shows in an error.
func (c *Client) begin() (*batch, error) {
	token, err := c.token()
	if err != nil {
		return nil, fmt.Errorf("proxmox token: %w", err)
	}
	if !tokenText.MatchString(token) {
		return nil, fmt.Errorf("proxmox token: want user@realm!name=secret: %w", backup.ErrCredentials)
	}
	return &batch{c, token}, nil
}

// request is one call of the API; path has no escapes left to do.
type request struct {
	method, path string
	params       url.Values // in the query of a GET, in the form of a POST
}

// at makes a path of segments.
func at(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// get asks until somebody answers: another URL at once, the same one after a
// while. It returns the total that stands beside the data of a log.
func (b *batch) get(ctx context.Context, into any, params url.Values, segments ...string) (total int, err error) {
	return b.repeat(ctx, request{http.MethodGet, at(segments...), params}, into)
}

// repeat sends a request that may be carried out twice.
func (b *batch) repeat(ctx context.Context, r request, into any) (total int, err error) {
	var wrong error // a certificate that is not pinned says more than silence does
	wrongs, pause := 0, time.Second
	for try := range max(b.tries, len(b.urls)) {
		if try >= len(b.urls) {
			if werr := b.wait(ctx, pause); werr != nil {
				return 0, fmt.Errorf("%w; not tried again: %w", cmp.Or(wrong, err), werr)
			}
			pause *= 2
		}
		first := b.first.Load()
		total, err = b.once(ctx, b.read, int(first), r, into)
		switch {
		case errors.Is(err, backup.ErrFingerprint):
			wrong, wrongs = err, wrongs+1
		case !errors.Is(err, backup.ErrUnreachable) || ctx.Err() != nil:
			return total, err
		}
		b.next(first)
		if wrongs == len(b.urls) {
			break
		}
	}
	return 0, cmp.Or(wrong, err)
}

// post sends a request exactly once, to the URL that answered last.
func (b *batch) post(ctx context.Context, into any, params url.Values, segments ...string) error {
	first := b.first.Load()
	_, err := b.once(ctx, b.write, int(first), request{http.MethodPost, at(segments...), params}, into)
	if errors.Is(err, backup.ErrUnreachable) || errors.Is(err, backup.ErrFingerprint) {
		b.next(first) // for whoever asks next; nothing was sent
	}
	return err
}

func (b *batch) next(from int64) {
	b.first.CompareAndSwap(from, (from+1)%int64(len(b.urls)))
}

// once sends r to one URL and reads the answer's data into into, unless it is nil.
func (b *batch) once(ctx context.Context, client *http.Client, n int, r request, into any) (total int, err error) {
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// From here on bytes may be on their way. Before it there was no
		// connection, or no certificate that is trusted.
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	req, err := b.build(traced, b.urls[n], r)
	if err != nil {
		return 0, b.failure(r, 0, err.Error(), nil, nil)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, b.silence(ctx, r, sent.Load(), err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, b.silence(ctx, r, true, err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, b.refusal(r, resp, body)
	}
	var answer struct {
		Data  json.RawMessage `json:"data"`
		Total integer         `json:"total"`
	}
	err = json.Unmarshal(body, &answer)
	switch {
	case len(body) > maxAnswer:
		err = fmt.Errorf("an answer of more than %d MiB", maxAnswer>>20)
	case err != nil || into == nil:
	case len(answer.Data) == 0 || string(answer.Data) == "null":
		err = errors.New("an answer without data")
	default:
		err = json.Unmarshal(answer.Data, into)
	}
	if err != nil {
		return 0, b.nonsense(r, err)
	}
	return int(answer.Total), nil
}

func (b *batch) build(ctx context.Context, base string, r request) (*http.Request, error) {
	where, body := base+r.path, ""
	if r.method == http.MethodPost {
		body = r.params.Encode()
	} else if len(r.params) > 0 {
		where += "?" + r.params.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, where, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "PVEAPIToken="+b.token)
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, nil
}

// silence is what came instead of a whole answer.
func (b *batch) silence(ctx context.Context, r request, sent bool, err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the URL, which stands in the path already
	}
	kind := backup.ErrUnreachable
	switch {
	case errors.Is(err, pin.ErrFingerprint):
		kind = backup.ErrFingerprint
	case sent && r.method == http.MethodPost:
		kind = backup.ErrUnclear
	}
	return b.failure(r, 0, err.Error(), kind, ctx.Err())
}

// nonsense is an answer that says yes and then nothing that can be used.
func (b *batch) nonsense(r request, err error) error {
	if r.method == http.MethodPost {
		return b.failure(r, http.StatusOK, err.Error(), backup.ErrUnclear, nil)
	}
	return b.failure(r, http.StatusOK, err.Error(), errNonsense, nil)
}
