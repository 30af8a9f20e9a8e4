package pbs_test

import (
	"strings"
	"testing"
)

func TestPrivilegesAreTheTokensOwn(t *testing.T) {
	s := newScene(t)
	for path, want := range map[string]string{
		"/datastore/backups-vm": "Datastore.Audit Datastore.Backup Datastore.Modify Datastore.Prune Datastore.Read Datastore.Verify",
		"/system":               "Sys.Audit",
		"/access":               "",
	} {
		got, err := s.Privileges(t.Context(), path)
		if s.must(err); strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
}
