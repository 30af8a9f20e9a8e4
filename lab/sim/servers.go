package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"triplicate/deploy"
	"triplicate/internal/backup"
	"triplicate/internal/pbs/pbstest"
	"triplicate/internal/pve/pvetest"
	"triplicate/internal/s3/s3test"
)

// The secrets are made up, and long enough to be looked for in histories, logs,
// databases and process lists: none of them may ever be seen there.
const (
	pveToken  = "triplicate@pve!backup=canary-pve-7d1f0c52-3b7e-4a7e"
	pbsToken  = "triplicate@pbs!backup:canary-pbs-51c2a9e4-90d3-4f6b"
	accessKey = "AKIACANARYTRIPLICATE"
	secretKey = "canary-aws-Zq8vN1xW5tR3kLm7"
	bucket    = "smith-offsite"
	datastore = "backups-vm"
)

// servers are the three, running.
type servers struct {
	pve     *pvetest.Cluster
	pbs     *pbstest.Server
	store   *pbstest.Store
	s3url   string
	s3      *s3test.Server
	ended   chan error
	started time.Time
}

// start brings all three up and writes the piece of config.
func start(ctx context.Context, o options) (*servers, error) {
	s := &servers{ended: make(chan error, 4), started: time.Now()}
	if err := s.startPBS(o); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.pbs.Serve(ctx, o.addr(8007)) }()
	err := s.startPVE(ctx, o)
	if err != nil {
		return nil, err
	}
	if s.s3url, err = s.startS3(ctx, o); err != nil {
		return nil, err
	}
	return s, s.writeConfig(o)
}

func (s *servers) startPBS(o options) (err error) {
	s.pbs, err = pbstest.New(pbstest.Config{Schema: o.schema, Zone: time.UTC, Takes: func(string) time.Duration { return 2 * time.Second }})
	if err != nil {
		return err
	}
	if s.store, err = s.pbs.AddDatastore(pbstest.Datastore{Name: datastore, Dir: o.datastore}); err != nil {
		return err
	}
	return s.pbs.AddToken(pbsToken, pbstest.DatastoreAdmin, pbstest.SystemAudit)
}

// startPVE runs three nodes with six guests, some with a disk on nvme/vm.
func (s *servers) startPVE(ctx context.Context, o options) (err error) {
	id, secret, _ := strings.Cut(pveToken, "=")
	guest := func(vmid int, kind backup.GuestType, name, node string) pvetest.Guest {
		g := pvetest.Guest{VMID: vmid, Type: kind, Name: name, Node: node, Size: o.size, Dirty: o.dirty}
		disk, line := "scsi0", fmt.Sprintf("nvme:vm-%d-disk-0,size=8M", vmid)
		if kind == backup.Container {
			disk, line = "rootfs", fmt.Sprintf("nvme:subvol-%d-disk-0,size=8M", vmid)
		}
		g.Config = map[string]string{disk: line}
		return g
	}
	s.pve, err = pvetest.New(pvetest.Config{
		Nodes: []string{"smith", "jones", "brown"},
		Guests: []pvetest.Guest{
			guest(101, backup.VM, "web", "smith"), guest(102, backup.VM, "mail", "smith"), guest(105, backup.Container, "plex", "smith"),
			guest(110, backup.VM, "windows", "jones"), guest(111, backup.Container, "dns", "jones"),
			guest(120, backup.Container, "git", "brown"),
		},
		Storages: []pvetest.Storage{
			{Name: "nvme", Type: "zfspool", Pool: "nvme/vm"},
			{Name: "pbs", Type: "pbs", Datastore: datastore},
		},
		Tokens: []pvetest.Token{{ID: id, Secret: secret}},
		// A faster clock would date the backups in the future: faster disks do not.
		Now: time.Now, Rate: int64(o.speed * 400 * (1 << 20)), Schema: o.schema,
		Begin: s.store.Begin, Save: s.store.Save, Abort: s.store.Abort,
	})
	if err != nil {
		return err
	}
	go func() {
		s.ended <- s.pve.Serve(ctx, []string{o.addr(8006), o.addr(8016), o.addr(8026)})
	}()
	return nil
}

func (s *servers) startS3(ctx context.Context, o options) (url string, err error) {
	ready := make(chan string, 1)
	key, err := bucketKey()
	if err != nil {
		return "", err
	}
	s.s3, err = s3test.New(s3test.Options{
		Region: "eu-central-1", Dir: o.bucket, ThawFactor: 1 / (o.speed * 60),
		Keys:  []s3test.Key{key},
		Ready: func(u string) { ready <- u },
	})
	if err != nil {
		return "", err
	}
	if err := s.s3.CreateBucket(bucket); err == nil {
		if err := s.s3.EnableVersioning(bucket); err != nil {
			return "", err
		}
	}
	go func() { s.ended <- s.s3.Serve(ctx, o.addr(9000)) }()
	select {
	case url = <-ready:
		return url, nil
	case err = <-s.ended:
		return "", err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// bucketKey may do what the shipped policies allow: backup and restore, so that one
// config shows all, and nothing else.
func bucketKey() (s3test.Key, error) {
	var documents [][]byte
	for _, name := range []string{"s3/upload.json", "s3/restore.json"} {
		document, err := deploy.S3.ReadFile(name)
		if err != nil {
			return s3test.Key{}, err
		}
		documents = append(documents, document)
	}
	return s3test.WithPolicies(accessKey, secretKey, documents...)
}

// block makes the bucket answer nothing but "slow down", or answer again.
func (s *servers) block(on bool) {
	s.s3.ClearScript()
	if on {
		s.s3.Script(s3test.Fault{Status: http.StatusServiceUnavailable})
	}
}

// writeConfig writes secrets and the piece of YAML that reaches the servers.
func (s *servers) writeConfig(o options) error {
	at := func(name string) string { return filepath.Join(o.dir, name) }
	config := fmt.Sprintf(`proxmox:
  frequency: daily at 02:00
  keep: { daily: 3, weekly: 2, monthly: 3 }
  pve:
    urls: [ https://%s, https://%s, https://%s ]
    fingerprints: [ "%s" ]
    token: { file: %s }
    storage: pbs
  pbs:
    url: %s
    fingerprint: "%s"
    token: { file: %s }
    datastore: %s
    dataset: hdd/backups-vm
offsite:
  - name: aws
    frequency: daily at 03:00
    pool: hdd
    bucket: %s
    region: eu-central-1
    prefix: smith/hdd
    endpoint: %s
    credentials: { file: %s }
`, o.addr(8006), o.addr(8016), o.addr(8026), strings.Join(s.pve.Fingerprints(), `", "`), at("pve.token"), "https://"+o.addr(8007), s.pbs.Fingerprint(), at("pbs.token"), datastore, bucket, s.s3url, at("aws.credentials"))
	for name, text := range map[string]string{
		"pve.token": pveToken, "pbs.token": pbsToken,
		"aws.credentials": fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, secretKey),
	} {
		if err := os.WriteFile(at(name), []byte(text+"\n"), 0o400); err != nil {
			return err
		}
	}
	// Whoever waits for the config finds the rest there.
	if err := os.WriteFile(at("config.yaml.new"), []byte(config), 0o600); err != nil {
		return err
	}
	return os.Rename(at("config.yaml.new"), at("config.yaml"))
}
