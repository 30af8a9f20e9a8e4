package pbstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"triplicate/internal/pin"
)

// wire is the server's side of the network.
type wire struct {
	mu      sync.Mutex
	cert    tls.Certificate
	conns   map[net.Conn]bool
	url     string
	server  *http.Server
	serving sync.WaitGroup
}

// Start listens on a free port of the loopback, until Close.
func (s *Server) Start() error { return s.listen(context.Background(), "127.0.0.1:0") }

// Serve listens on addr until the context ends. It prints nothing; URL and
// Fingerprint say what there is.
func (s *Server) Serve(ctx context.Context, addr string) error {
	if err := s.listen(ctx, addr); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

// Close ends listening and every connection.
func (s *Server) Close() error {
	s.wire.mu.Lock()
	server := s.wire.server
	s.wire.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	s.wire.serving.Wait()
	return err
}

// URL is where the server listens; empty before Start and Serve.
func (s *Server) URL() string {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	return s.wire.url
}

func (s *Server) listen(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("pbstest: %w", err)
	}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // clients that refuse the certificate, on purpose
		ConnState:         s.wire.track,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1, as the real one
	}
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.wire.mu.Lock()
			defer s.wire.mu.Unlock()
			c := s.wire.cert
			return &c, nil
		},
	}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	s.wire.url, s.wire.server = "https://"+l.Addr().String(), server
	s.wire.serving.Go(func() { _ = server.Serve(tls.NewListener(&door{l, s}, conf)) })
	return nil
}

// Fingerprint is the SHA-256 of the certificate, as its dashboard shows it.
func (s *Server) Fingerprint() string {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	return pin.Fingerprint(s.wire.cert.Certificate[0])
}

// Renew gives the server another certificate, and so another fingerprint.
func (s *Server) Renew() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("pbstest: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return fmt.Errorf("pbstest: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: s.conf.Node, Organization: []string{"Simulated Proxmox Backup Server"}},
		NotBefore:    time.Unix(0, 0), // the clock may be anywhere
		NotAfter:     time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{s.conf.Node, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("pbstest: %w", err)
	}
	s.wire.mu.Lock()
	s.wire.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.wire.mu.Unlock()
	s.wire.closeAll()
	return nil
}

// track remembers the open connections.
func (w *wire) track(c net.Conn, state http.ConnState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(w.conns, c)
	default:
		if w.conns == nil {
			w.conns = map[net.Conn]bool{}
		}
		w.conns[c] = true
	}
}

// closeAll cuts every connection.
func (w *wire) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

// door lets nobody in while the server is down: who comes is cut off before the
// handshake, so the port is kept and yet nothing can have been carried out.
type door struct {
	net.Listener
	server *Server
}

// Accept waits for the next connection to an open door.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		d.server.mu.Lock()
		down := d.server.down
		d.server.mu.Unlock()
		if !down {
			return c, nil
		}
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return nil, err
		}
	}
}
