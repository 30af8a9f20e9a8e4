package app

import (
	"fmt"
	"path/filepath"
	"time"

	"triplicate/activities"
	"triplicate/internal/config"
	"triplicate/internal/offsite"
	"triplicate/internal/pbs"
	"triplicate/internal/pve"
	"triplicate/internal/s3"
	"triplicate/internal/wait"
)

// Copies are the steps on everything that the config names; what it does not name
// is nil. Nothing is asked and no secret is read yet.
func Copies(cfg *config.Config, pools *activities.Pools) (*activities.Copies, error) {
	guests, err := guests(cfg)
	if err != nil {
		return nil, err
	}
	offsite, err := offsiteTargets(cfg, pools)
	return &activities.Copies{Pools: pools, Guests: guests, Offsite: offsite}, err
}

// guests are the steps on Proxmox; nil if it is not configured, or disabled.
func guests(cfg *config.Config) (*activities.Guests, error) {
	policy := cfg.Policy()
	if policy.Proxmox == nil {
		return nil, nil
	}
	p := cfg.Proxmox
	hypervisor, err := pve.New(pve.Config{URLs: p.PVE.URLs, Fingerprints: p.PVE.Fingerprints, Token: reader(p.PVE.Token)})
	if err != nil {
		return nil, fmt.Errorf("proxmox.pve: %w", err)
	}
	datastore, err := pbs.New(pbs.Config{
		URL: p.PBS.URL, Fingerprint: p.PBS.Fingerprint, Token: reader(p.PBS.Token),
		Datastore: p.PBS.Datastore, Namespace: p.PBS.Namespace,
	})
	if err != nil {
		return nil, fmt.Errorf("proxmox.pbs: %w", err)
	}
	return &activities.Guests{PVE: hypervisor, PBS: datastore, Policy: policy, Now: time.Now, Wait: wait.For}, nil
}

// offsiteTargets are the steps on the offsite targets; nil if there is none.
func offsiteTargets(cfg *config.Config, pools *activities.Pools) (*activities.Offsite, error) {
	if len(pools.Policy.Offsite) == 0 {
		return nil, nil
	}
	vaults := map[string]activities.Vault{}
	for _, o := range cfg.Offsite {
		bucket, err := openBucket(o)
		if err != nil {
			return nil, fmt.Errorf("offsite %s: %w", o.Name, err)
		}
		vaults[o.Name] = offsite.New(offsite.Config{
			Bucket: bucket, Host: cfg.Host, Prefix: o.Prefix, Class: o.StorageClass,
			Dir: filepath.Join(cfg.StateDirectory, "offsite", o.Name),
		})
	}
	return &activities.Offsite{Pools: pools, Vault: func(name string) (activities.Vault, error) {
		v, ok := vaults[name]
		if !ok {
			return nil, fmt.Errorf("offsite target %q: %w", name, activities.ErrNotConfigured)
		}
		return v, nil
	}}, nil
}

// openBucket is the client of a target's bucket; nothing is asked yet.
func openBucket(o config.Offsite) (*s3.Bucket, error) {
	return s3.Open(s3.Config{
		Bucket: o.Bucket, Region: o.Region, Endpoint: o.Endpoint,
		Credentials: func() (string, string, string, error) {
			secret, err := o.Credentials.Read()
			if err != nil {
				return "", "", "", err
			}
			return s3.ParseCredentials(secret.Reveal())
		},
	})
}

// reader reads a secret anew at each call, so that a replaced file needs no
// restart.
func reader(ref config.SecretRef) func() (string, error) {
	return func() (string, error) {
		secret, err := ref.Read()
		return secret.Reveal(), err
	}
}
