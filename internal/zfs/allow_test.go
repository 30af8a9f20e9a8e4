package zfs

import (
	"strings"
	"testing"
)

// The output's form is that of the examples in zfs-allow(8).
const delegated = `---- Permissions on tank/users ---------------------------------------
Permission sets:
	@all @some,hold
	@some send,snapshot
Create time permissions:
	destroy
Local permissions:
	user ann create
Descendent permissions:
	user ann mount
Local+Descendent permissions:
	group staff @all
	user bob rollback
	everyone readonly
---- Permissions on tank ---------------------------------------------
Permission sets:
	@some destroy
Local permissions:
	user ann promote
Descendent permissions:
	user ann clone
`

func TestAllowed(t *testing.T) {
	for name, tc := range map[string]struct{ who, want string }{
		"by name, here and from above":         {"user ann", "clone,create"},
		"by group, through a set within one":   {"group staff", "hold,send,snapshot"},
		"everyone":                             {"everyone", "readonly"},
		"create time permissions are no-one's": {"destroy", ""},
	} {
		if got := strings.Join(parseAllowed(delegated, "tank/users", map[string]bool{tc.who: true}), ","); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestAllowedAsksForOneDataset(t *testing.T) {
	stub(t, `[ "$*" = "allow tank" ] && printf -- '---- Permissions on tank ---\nLocal+Descendent permissions:\n\teveryone send\n'`)
	got, err := (&Host{}).Allowed(t.Context(), "tank")
	if err != nil || strings.Join(got, ",") != "send" {
		t.Errorf("%v, %v; want send", got, err)
	}
	if _, err := (&Host{}).Allowed(t.Context(), "-r"); err == nil {
		t.Error("an option for a dataset")
	}
}
