package offsite

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"triplicate/internal/backup"
)

// Config says which copy a vault keeps, and how.
type Config struct {
	Bucket Bucket
	Host   string // goes into the manifests; another host's are refused
	Prefix string // all keys begin with it
	Class  string // storage class of content; manifests are always STANDARD
	Dir    string // folder of the local cache, of this target alone
	// Workers is how many objects are put at a time; 0: 32. Over a wide network,
	// objects per second are workers / round trip.
	Workers int
	Now     func() time.Time // nil: time.Now
}

// Vault is one offsite target; see activities.Vault.
type Vault struct {
	Config
	multipartFrom int64
	partSize      func(size int64) int64
	memory        int64 // bytes of content in memory at once
}

// New makes a vault. It does nothing yet: no request, no file.
func New(c Config) *Vault {
	if c.Workers <= 0 {
		c.Workers = 32
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Vault{
		Config:        c,
		multipartFrom: backup.MultipartFrom,
		partSize:      backup.PartSize,
		memory:        96 << 20,
	}
}

// Points lists the newest manifest of every dataset; see activities.Vault.
func (v *Vault) Points(ctx context.Context) ([]backup.OffsitePoint, error) {
	var points []backup.OffsitePoint
	err := v.Bucket.List(ctx, backup.ManifestsPrefix(v.Prefix), func(o backup.Object) error {
		p, ok := backup.ParseManifestKey(v.Prefix, o.Key)
		if !ok {
			return nil
		}
		p.Written = o.Modified
		// Keys come in order: a dataset's manifests together, the newest last.
		if n := len(points); n > 0 && points[n-1].Dataset == p.Dataset {
			points[n-1] = p
			return nil
		}
		points = append(points, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	return points, nil
}

// cache is the folder of one dataset's cache, which follows its GUID, not its name.
func (v *Vault) cache(guid backup.GUID) string { return filepath.Join(v.Dir, guid.String()) }

// key is where an entry's content is.
func (v *Vault) key(dataset string, e backup.Entry) string {
	return backup.KeyOf(v.Prefix, dataset, e)
}
