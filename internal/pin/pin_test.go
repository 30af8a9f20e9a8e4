package pin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"triplicate/internal/pin"
)

func TestOnlyThePinnedCertificateIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	right := pin.Fingerprint(s.Certificate().Raw)
	wrong := strings.Repeat("00:", 31) + "00"
	for name, test := range map[string]struct {
		pins []string
		ok   bool
	}{
		"the right one":                       {[]string{right}, true},
		"lower case, no colons":               {[]string{strings.ToLower(strings.ReplaceAll(right, ":", ""))}, true},
		"one of several, as for a rotation":   {[]string{wrong, right}, true},
		"another":                             {[]string{wrong}, false},
		"nonsense pins nothing open":          {[]string{"x"}, false},
		"no pin: the system's authorities do": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := pin.Client(10*time.Second, test.pins...).Get(s.URL) //nolint:noctx // a test's one request
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != test.ok {
				t.Errorf("error %v, want ok = %v", err, test.ok)
			}
			if len(test.pins) > 0 && !test.ok && !errors.Is(err, pin.ErrFingerprint) {
				t.Errorf("error %v, want ErrFingerprint", err)
			}
		})
	}
}
