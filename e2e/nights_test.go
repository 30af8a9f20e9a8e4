//go:build lab

package e2e

import (
	"strings"
	"testing"
)

// TestAnHourAndTwoNights is the user's ZFS table at work: an hourly run, a night,
// changes, the next night.
func TestAnHourAndTwoNights(t *testing.T) {
	smith(t)
	before := sh(t, "zfs list -t all -o name,guid,createtxg")
	t.Logf("before:\n%s", before)

	sh(t, "triplicate run hourly --wait")
	report, _ := night(t)
	if report["outcome"] != "ok" {
		t.Errorf("first night: outcome %v, want ok: %v", report["outcome"], report)
	}
	same(t)

	sh(t, `rm /nvme/personal/1.txt; echo changed >/nvme/personal/2.txt; echo new >/nvme/personal/photos/new.txt
		dd if=/dev/urandom of=/nvme/data/film2 bs=1M count=1 2>/dev/null; zfs create nvme/personal/later; echo hi >/nvme/personal/later/f
		rm -f /run/e2e/commands`)
	if _, err := try(t, "triplicate status"); err == nil {
		t.Error("status is content although nvme/personal/later has no copy")
	}
	report, _ = night(t)
	if report["outcome"] != "ok" {
		t.Errorf("second night: outcome %v, want ok: %v", report["outcome"], report)
	}
	same(t)
	full, incremental := sends(t)
	if full != 1 || incremental != len(replicas) {
		t.Errorf("second night sent %d full and %d incremental streams, want 1 (the new dataset) and %d", full, incremental, len(replicas))
	}
	sh(t, "triplicate status")
	after := sh(t, "zfs list -t all -o name,guid,createtxg")
	t.Logf("after:\n%s", after)

	t.Run("a source keeps no hold", func(t *testing.T) {
		if got := sh(t, `for s in $(zfs list -H -t snapshot -o name -r nvme); do zfs holds -H $s; done`); got != "" {
			t.Errorf("holds on nvme:\n%s", got)
		}
	})
	t.Run("every history replays", func(t *testing.T) {
		for _, id := range []string{"smith-replicate-personal", "smith-replicate-data", "smith-prune-nightly", "smith-prune-hourly"} {
			sh(t, "triplicate replay "+id)
		}
	})
	t.Run("a third run has nothing to do", func(t *testing.T) {
		sh(t, "rm -f /run/e2e/commands; triplicate run replicate personal --wait")
		if full, incremental := sends(t); full+incremental != 0 {
			t.Errorf("%d full and %d incremental streams, want none", full, incremental)
		}
	})
}

// same compares every replica's newest snapshot with its source's, GUID and files.
func same(t *testing.T) {
	t.Helper()
	for source, target := range replicas {
		name := newest(t, target)
		src, dst := points(t, source), points(t, target)
		guid := dst[target+"@"+name]
		if guid == "" || src[source+"@"+name] != guid {
			t.Errorf("%s@%s has guid %q, its source %q", target, name, guid, src[source+"@"+name])
			continue
		}
		if strings.HasSuffix(source, "/vol") {
			continue
		}
		if a, b := content(t, source+"@"+name), content(t, target+"@"+name); a != b || a == "" {
			t.Errorf("%s and %s differ at %s:\n%s\n---\n%s", source, target, name, a, b)
		}
	}
}

// sends counts the streams since /run/e2e/commands was removed.
func sends(t *testing.T) (full, incremental int) {
	t.Helper()
	out, _ := try(t, "cat /run/e2e/commands")
	for _, l := range lines(out) {
		_, cmd, _ := strings.Cut(l, " ")
		switch {
		case !strings.HasPrefix(cmd, "send ") || strings.HasPrefix(cmd, "send -n"):
		case strings.Contains(cmd, " -i "), strings.Contains(cmd, " -t "):
			incremental++
		default:
			full++
		}
	}
	return full, incremental
}
