package s3_test

import (
	"net/http"
	"testing"

	"triplicate/internal/s3"
	"triplicate/internal/s3/s3test"
)

// Amazon's is 5 MiB.
const minPart = 64 << 10

// contractScene is the double behind the client, with pages of three rows.
func contractScene(dir bool) func(t *testing.T) s3test.Scene {
	return func(t *testing.T) s3test.Scene {
		b := open(t, func(o *s3test.Options, _ *s3.Config) {
			o.PageSize, o.MinPart = 3, minPart
			if dir {
				o.Dir = t.TempDir()
			}
		})
		return s3test.Scene{Bucket: b, Endpoint: b.conf.Endpoint, Name: b.conf.Bucket, Region: b.conf.Region, ID: keyID, Secret: secret,
			Client: http.DefaultClient, MinPart: minPart, Now: b.clock.Now, Advance: b.clock.Add}
	}
}

func TestContract(t *testing.T)             { s3test.Contract(t, contractScene(false)) }
func TestContractInADirectory(t *testing.T) { s3test.Contract(t, contractScene(true)) }
func TestGlacier(t *testing.T)              { s3test.Glacier(t, contractScene(false)) }
func TestGlacierInADirectory(t *testing.T)  { s3test.Glacier(t, contractScene(true)) }

var _ http.Handler = (*s3test.Server)(nil)
