package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"triplicate/internal/backup"
	"triplicate/internal/pbs/pbstest"
	"triplicate/internal/pve/pvetest"
)

// whole is smith with a bucket, a cluster of two nodes and a backup server, all of
// which answer.
func whole(t *testing.T) *smith {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	server, err := pbstest.New(pbstest.Config{})
	must(err)
	store, err := server.AddDatastore(pbstest.Datastore{Name: "backups-vm"})
	must(err)
	const token = "triplicate@pbs!backup:11111111-2222-3333-4444-555555555555"
	must(server.AddToken(token, pbstest.DatastoreAdmin, pbstest.SystemAudit))
	cluster, err := pvetest.New(pvetest.Config{
		Nodes: []string{"smith", "jones"},
		Guests: []pvetest.Guest{
			{VMID: 101, Name: "web", Node: "smith"}, {VMID: 105, Name: "plex", Type: backup.Container, Node: "smith"},
			{VMID: 110, Name: "win", Node: "jones"}, {VMID: 900, Name: "pbs", Type: backup.Container, Node: "smith"},
		},
		Begin: store.Begin, Save: store.Save, Abort: store.Abort,
	})
	must(err)
	must(cluster.Start())
	must(server.Start())
	t.Cleanup(func() { _, _ = cluster.Close(), server.Close() })

	dir := t.TempDir()
	secret := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(os.WriteFile(path, []byte(text), 0o400))
		return path
	}
	quote := func(all []string) string { return `"` + strings.Join(all, `", "`) + `"` }
	s, _ := away(t)
	s.server += fmt.Sprintf(`proxmox:
  frequency: daily at 02:00
  keep: { daily: 3 }
  pve: { urls: [ %s ], fingerprints: [ %s ], token: { file: %s }, storage: pbs-smith }
  pbs: { url: "%s", fingerprint: "%s", token: { file: %s }, datastore: backups-vm, vmid: 900 }
`, quote(cluster.URLs()), quote(cluster.Fingerprints()), secret("pve", pvetest.DefaultToken.Text()), server.URL(), server.Fingerprint(), secret("pbs", token))
	s.write(rows + s.server)
	return s
}
