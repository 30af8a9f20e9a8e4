// Package pin makes HTTP clients that trust a server by the fingerprint of its
// certificate, as Proxmox's own clients do: the certificates of a home server are
// self-signed, and accepting any of them would hand the token to whoever answers.
package pin

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrFingerprint is what a connection to a server with another certificate fails
// with; callers find it with errors.Is below what net/http returns.
var ErrFingerprint = errors.New("certificate does not have a pinned fingerprint")

// Client is an HTTP/1.1 client (Proxmox's daemons speak nothing newer) that
// accepts only leaf certificates with one of the SHA-256 fingerprints, in hex with
// or without colons, in either case. Without any, the system's authorities decide.
// timeout bounds one whole request.
func Client(timeout time.Duration, fingerprints ...string) *http.Client {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(fingerprints) > 0 {
		var want []string
		for _, f := range fingerprints {
			want = append(want, normal(f))
		}
		conf.InsecureSkipVerify = true // VerifyConnection does it, on resumed sessions too
		conf.VerifyConnection = func(s tls.ConnectionState) error {
			if got := Fingerprint(s.PeerCertificates[0].Raw); !slices.Contains(want, normal(got)) {
				return fmt.Errorf("%s shows %s: %w", s.ServerName, got, ErrFingerprint)
			}
			return nil
		}
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:               nil, // a token must not travel through what the environment names
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: 10 * time.Second,
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
		},
		// An API does not redirect; following one would send the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Fingerprint is the SHA-256 of a certificate's DER form as Proxmox prints it:
// upper case, with colons.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func normal(fingerprint string) string {
	f := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(fingerprint), ":", ""))
	if _, err := hex.DecodeString(f); err != nil {
		return "not a fingerprint"
	}
	return f
}
