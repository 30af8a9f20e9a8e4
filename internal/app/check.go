package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"triplicate/activities"
	"triplicate/internal/config"
	"triplicate/internal/s3"
)

// Checks are all looks of `triplicate check`, on copies as Copies makes them.
func Checks(cfg *config.Config, copies *activities.Copies) *activities.Checks {
	return &activities.Checks{
		Copies: copies, Machine: machine(cfg, copies.Pools),
		Bucket: func(ctx context.Context, target string) ([]activities.BucketFact, error) {
			return lookAtBucket(ctx, cfg, target)
		},
	}
}

func machine(cfg *config.Config, pools *activities.Pools) activities.Machine {
	m := activities.Machine{User: os.Geteuid(), Zone: systemZone(), Adrift: adrift(), Secrets: secrets(cfg)}
	// A fake of the pools has nobody to ask.
	if z, ok := pools.ZFS.(interface {
		Allowed(ctx context.Context, dataset string) ([]string, error)
	}); ok {
		m.Allowed = z.Allowed
	}
	return m
}

// adrift asks the kernel whether anything disciplines the clock (adjtimex(2)):
// chrony, ntpd and systemd-timesyncd do. A container cannot ask; then nothing is
// known to be wrong.
func adrift() bool {
	const timeError = 5 // TIME_ERROR
	state, err := syscall.Adjtimex(&syscall.Timex{})
	return err == nil && state == timeError
}

// systemZone is the machine's time zone, by name where it has one; time.Local
// forgets it.
func systemZone() *time.Location {
	if link, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		for dir, name := filepath.Dir(link), filepath.Base(link); dir != "/" && dir != "."; dir, name = filepath.Dir(dir), filepath.Join(filepath.Base(dir), name) {
			if filepath.Base(dir) == "zoneinfo" {
				if zone, err := time.LoadLocation(name); err == nil {
					return zone
				}
			}
		}
	}
	return time.Local
}

// SystemZone is the name of the machine's time zone, UTC if it has none.
func SystemZone() string {
	if name := systemZone().String(); name != "Local" {
		return name
	}
	return "UTC"
}

// secrets tries each secret that the config names. What is read is forgotten.
func secrets(cfg *config.Config) (all []activities.SecretFile) {
	for _, ref := range cfg.Secrets() {
		s := activities.SecretFile{Key: ref.Key, Place: ref.Ref.String()}
		if s.Elsewhere = ref.Ref.Credential != "" && os.Getenv("CREDENTIALS_DIRECTORY") == ""; !s.Elsewhere {
			_, s.Err = ref.Ref.Read()
		}
		if info, err := os.Stat(ref.Ref.File); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				s.Owner = int(st.Uid)
			}
		}
		all = append(all, s)
	}
	return all
}

// facets are the parts of a bucket that s3.Check looks at.
var facets = map[string]activities.FindingID{
	"versioning":          activities.FindVersioning,
	"public access block": activities.FindPublic,
	"encryption":          activities.FindEncryption,
	"lifecycle":           activities.FindLifecycle,
	"clock":               activities.FindClock,
}

func lookAtBucket(ctx context.Context, cfg *config.Config, target string) ([]activities.BucketFact, error) {
	for _, o := range cfg.Offsite {
		if o.Name != target {
			continue
		}
		bucket, err := openBucket(o)
		if err != nil {
			return nil, err
		}
		defer bucket.Close()
		found, err := bucket.Check(ctx, strings.TrimSuffix(o.Prefix, "/"))
		return bucketFacts(found), err
	}
	return nil, fmt.Errorf("offsite target %q: %w", target, activities.ErrNotConfigured)
}

func bucketFacts(found []s3.Finding) (facts []activities.BucketFact) {
	for _, f := range found {
		what := f.What
		if what == "clock" {
			what = "this machine's clock, by that"
		}
		facts = append(facts, activities.BucketFact{ID: facets[f.What], What: what, Problem: f.Problem, Fix: f.Fix, Unseen: f.Unseen})
	}
	return facts
}
