package pve_test

import (
	"slices"
	"strings"
	"testing"

	"triplicate/internal/pve/pvetest"
)

// TestPrivilegesOfTheToken: the token's own, as far as its user has them too.
func TestPrivilegesOfTheToken(t *testing.T) {
	s := newScene(t, nil)
	for path, want := range map[string]string{
		"/":                  "Sys.Audit",
		"/storage/pbs-smith": "Datastore.AllocateSpace Datastore.Audit",
		"/vms/101":           "VM.Audit VM.Backup",
		"/access":            "",
	} {
		got, err := s.Privileges(t.Context(), path)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", path, got, err, want)
		}
	}
	s.SetACL(pvetest.ACL{Path: "/", Who: pvetest.DefaultToken.ID, Privileges: []string{"Sys.Audit"}})
	if got, err := s.Privileges(t.Context(), "/"); err != nil || slices.Contains(got, "Sys.Audit") {
		t.Errorf("given to the token and not to its user: %v, %v", got, err)
	}
}
