//go:build lab

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestKilledAtTenPointsOfANight kills the daemon with -9 at ten commands of one
// night, before, after and in the middle of them. The night ends by itself, with
// no duplicate snapshot, no orphaned hold, and no stream sent whole twice.
func TestKilledAtTenPointsOfANight(t *testing.T) {
	smith(t)
	night(t)
	// How many commands a night takes, so that the kills spread over all of one.
	sh(t, "echo 0 >/run/e2e/n")
	night(t)
	total, err := strconv.Atoi(strings.TrimSpace(sh(t, "cat /run/e2e/n")))
	if err != nil || total < 40 {
		t.Fatalf("a night took %d commands (%v), too few to believe", total, err)
	}

	// Twelve are set, for two may hit one daemon: its commands run side by side.
	var kills strings.Builder
	for i := range 12 {
		how := []string{"before", "after"}[i%2]
		if i == 4 {
			how = "mid"
		}
		fmt.Fprintf(&kills, "%d %s\n", 2+i*total/12, how)
	}
	snapshots := len(points(t, "hdd/data"))
	sh(t, `echo changed >/nvme/personal/2.txt; zfs create nvme/personal/big
		dd if=/dev/urandom of=/nvme/personal/big/film bs=1M count=6 2>/dev/null
		echo 0 >/run/e2e/n; rm -f /run/e2e/commands /run/e2e/ends
		printf '`+kills.String()+`' >/run/e2e/kills`)
	report, _ := night(t)
	killed := lines(sh(t, "cat /run/e2e/killed"))
	t.Logf("killed at, of %d commands:\n%s", total, strings.Join(killed, "\n"))
	if ends := len(lines(sh(t, "cat /run/e2e/ends"))); ends < 10 || len(killed) < 10 {
		t.Errorf("the daemon ended %d times by %d kills, want 10 at least", ends, len(killed))
	}
	if report["outcome"] != "ok" {
		t.Errorf("outcome %v, want ok: %v", report["outcome"], report)
	}
	same(t)
	if got := len(points(t, "hdd/data")); got > snapshots+1 {
		t.Errorf("hdd/data had %d snapshots before the night and has %d after it", snapshots, got)
	}
	if got := sh(t, `for s in $(zfs list -H -t snapshot -o name -r nvme); do zfs holds -H $s; done`); got != "" {
		t.Errorf("orphaned holds on nvme:\n%s", got)
	}
	if got := sh(t, "zfs get -Hp -r -t filesystem,volume -o name,value receive_resume_token hdd | awk '$2 != \"-\"'"); got != "" {
		t.Errorf("half received:\n%s", got)
	}
	if full, _ := sends(t); full > 2 {
		// The new dataset's first stream, and once more if a kill came before its
		// first byte was kept.
		t.Errorf("%d full streams for one new dataset:\n%s", full, sh(t, "grep ' send ' /run/e2e/commands"))
	}
}
