package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"triplicate/internal/backup"
)

func newTransport(conf Config) (*http.Transport, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if conf.CAFile != "" {
		pem, err := os.ReadFile(conf.CAFile)
		if err != nil {
			return nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New(conf.CAFile + " holds no certificate in PEM form")
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy: nil, // data and signatures must not travel through what the environment names
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{c, conf.Stall}, nil
		},
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // S3 speaks HTTP/1.1
		// With fewer idle slots than requests at a time most requests pay for a
		// handshake; the default is 2, the SDK's 10.
		MaxIdleConnsPerHost:   conf.MaxConns,
		IdleConnTimeout:       15 * time.Second, // S3 ends idle connections after about 20
		ResponseHeaderTimeout: conf.Stall,
		WriteBufferSize:       64 << 10,
		DisableCompression:    true,
	}, nil
}

// conn is a connection that gives up writing once nothing went out for a while:
// net/http has no limit on a request's body that is stuck.
type conn struct {
	net.Conn
	stall time.Duration
}

// Write writes b, or fails once the peer takes nothing for too long.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// counter counts requests.
type counter struct {
	next *http.Transport
	n    *atomic.Int64
}

// RoundTrip sends r.
func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// CloseIdleConnections is found by http.Client.
func (c *counter) CloseIdleConnections() { c.next.CloseIdleConnections() }

// download is a reply's body that fails once no byte came for a while.
type download struct {
	io.ReadCloser
	key   string
	stall time.Duration
}

// Read reads, or ends the connection and fails with backup.ErrUnreachable.
func (d *download) Read(b []byte) (int, error) {
	timer := time.AfterFunc(d.stall, func() { _ = d.Close() })
	n, err := d.ReadCloser.Read(b)
	late := !timer.Stop()
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return n, err
	case late:
		return n, fmt.Errorf("get %s: nothing came for %s: %w", d.key, d.stall, backup.ErrUnreachable)
	}
	return n, fmt.Errorf("get %s: %w: %w", d.key, err, backup.ErrUnreachable)
}
