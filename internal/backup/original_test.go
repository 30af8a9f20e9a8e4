package backup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Trap 5: a restore gets back what was set on the source.
func TestOriginals(t *testing.T) {
	set := map[string]string{
		"acltype": "posix", "xattr": "sa", "recordsize": "1048576", "quota": "1099511627776",
		"mountpoint": "/srv/my photos", "com.sun:auto-snapshot": "false", "me:note": "a\ttab, a \"quote\"\nand a line",
	}
	with := map[string]string{PropPolicy: "ours", PropSource: "ours too"}
	for k, v := range set {
		with[k] = v
	}
	value := Originals(with)
	if strings.ContainsAny(value, "\t\n") {
		t.Errorf("%q breaks a listing", value)
	}
	got, err := ParseOriginals(value)
	if diff := cmp.Diff(set, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if again := Originals(map[string]string{PropOriginal: value, "readonly": "on"}); again != value {
		t.Errorf("a replica's own source has %s, passed on is %s", value, again)
	}
	if got := Originals(nil); got != "{}" {
		t.Errorf("nothing set: %s", got)
	}
}

func TestOriginalsAreBounded(t *testing.T) {
	set := map[string]string{"atime": "off", "xattr": "sa"}
	for i := range 100 {
		set[fmt.Sprintf("a:%03d", i)] = strings.Repeat("<", 50) // six bytes each in JSON
	}
	value := Originals(set)
	if len(value) > 8191 {
		t.Errorf("%d bytes, more than ZFS takes", len(value))
	}
	got, err := ParseOriginals(value)
	if err != nil || got["atime"] != "off" || got["xattr"] != "sa" || len(got) < 20 {
		t.Errorf("%d of %d kept, %v; want ZFS's own, and what fits", len(got), len(set), err)
	}
	if !strings.Contains(value, fmt.Sprintf(`"triplicate:left-out":"%d"`, len(set)-len(got))) {
		t.Errorf("%d of %d kept, and it is not said", len(got), len(set))
	}
}
