//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestWholeNight is all four stages, on real OpenZFS with simulated Proxmox and
// bucket: a first night whose offsite copy waits for approval, the second,
// incremental, then a night that is killed in each stage, restores from all three
// places, and no secret anywhere.
func TestWholeNight(t *testing.T) {
	simulated(t)
	sh(t, "triplicate check; [ $? -le 3 ]; triplicate plan; [ $? -le 6 ]")

	report, _ := night(t)
	if got := outcomes(report); got["snapshot"] != "ok" || got["proxmox"] != "ok" || got["replicate"] != "ok" || got["offsite"] != "needs approval" {
		t.Fatalf("first night: %v\n%v", got, report)
	}
	first := simState(t)
	first.once(t)
	if len(first.Vzdumps) != 6 || len(first.Backups) != 6 || first.data() != 0 {
		t.Errorf("first night: %d vzdumps, %d groups, %d objects; want 6, 6, none before approval", len(first.Vzdumps), len(first.Backups), first.data())
	}
	t.Log(sh(t, "triplicate ack offsite --all"))
	t.Log(sh(t, "triplicate run offsite --wait; [ $? -le 3 ]"))
	second := simState(t)
	second.once(t)
	if second.data() < 30 || second.Classes["GLACIER"] != second.data() {
		t.Errorf("%d objects, by class %v; want all in GLACIER", second.data(), second.Classes)
	}
	t.Log(sh(t, "triplicate status; [ $? -le 4 ]"))

	t.Run("the second night is incremental", func(t *testing.T) {
		sh(t, `rm /nvme/personal/1.txt; echo changed >/nvme/personal/2.txt; echo new >/nvme/personal/photos/new.txt`)
		report, _ := night(t)
		if got := outcomes(report); report["outcome"] == "failed" || got["offsite"] == "failed" || got["offsite"] == "needs approval" {
			t.Errorf("outcomes %v: %v", got, report)
		}
		now := simState(t)
		now.once(t, "/@/2.txt")
		if len(now.Vzdumps) != 12 {
			t.Errorf("%d vzdumps after two nights, want 12", len(now.Vzdumps))
		}
		if n := now.Versions["smith/hdd/data/hdd/backups-data/personal/@/2.txt"]; n != 2 {
			t.Errorf("2.txt has %d versions, want 2", n)
		}
	})
	t.Run("killed in each stage", killedInEachStage)
	t.Run("restored from all three places", restoredFromThree)
	t.Run("rclone restores the bucket, and finds nothing to do", rcloneRestores)
	t.Run("no secret anywhere", noSecret)
	t.Run("every history replays", func(t *testing.T) {
		for _, id := range []string{"smith-proxmox", "smith-guest-101", "smith-datastore", "smith-offsite-aws", "smith-replicate-personal"} {
			sh(t, "triplicate replay "+id)
		}
	})
	t.Run("a blocked offsite copy delays no night", blockedOffsite)
}

// killedInEachStage kills the daemon while a guest is being backed up, while the
// datastore is tended, and while objects go up.
func killedInEachStage(t *testing.T) {
	sh(t, `for i in $(seq 60); do head -c 20000 /dev/urandom >/hdd/data/clip-$i; done; echo more >/nvme/personal/3.txt; rm -f /run/e2e/ends
		triplicate run nightly --json >/run/e2e/started`)
	kill := func(when, condition string) {
		sh(t, fmt.Sprintf(`for i in $(seq 600); do %s && break; sleep 0.1; done; %s; kill -9 $(cat /run/e2e/pid); sleep 1`, condition, condition))
		t.Logf("killed %s", when)
	}
	kill("while a guest is backed up", `[ $(sim state | grep -c "triplicate-run=") -ge 14 ]`)
	awaitReady(t)
	kill("while objects go up", `[ $(sim state | grep -c "hdd/data/@/clip-") -ge 5 ]`)
	awaitReady(t)
	id := strings.TrimSpace(sh(t, `sed -n 's/.*"workflowId": "\(.*\)".*/\1/p' /run/e2e/started`))
	out, _ := try(t, "triplicate follow "+id)
	t.Log(out)
	if ends := len(lines(sh(t, "cat /run/e2e/ends"))); ends != 2 {
		t.Errorf("the daemon ended %d times, want 2", ends)
	}
	now := simState(t)
	now.once(t, "/@/2.txt", "/@/3.txt")
	if len(now.Vzdumps) != 18 {
		t.Errorf("%d vzdumps after three nights of 6 guests, want 18", len(now.Vzdumps))
	}
	clips := 0
	for key, n := range now.Versions {
		if strings.Contains(key, "/clip-") {
			clips += n
		}
	}
	if clips != 60 {
		t.Errorf("%d versions of 60 clips", clips)
	}
}

func restoredFromThree(t *testing.T) {
	sh(t, "rm -rf /run/e2e/back; mkdir -p /run/e2e/back/s /run/e2e/back/r /run/e2e/back/o")
	want := sh(t, "sha256sum </nvme/personal/photos/3.jpg")
	sh(t, "triplicate restore nvme/personal/photos/3.jpg --from snapshot --to /run/e2e/back/s")
	sh(t, "triplicate restore /nvme/personal/photos/3.jpg --from replica --to /run/e2e/back/r")
	sh(t, "triplicate restore nvme/personal/photos/3.jpg --from aws --to /run/e2e/back/o; [ $? = 5 ]") // thawing
	sh(t, `for i in $(seq 120); do triplicate restore nvme/personal/photos/3.jpg --from aws --to /run/e2e/back/o && exit 0; sleep 0.5; done; exit 1`)
	for _, place := range []string{"s", "r", "o"} {
		if got := sh(t, "sha256sum </run/e2e/back/"+place+"/3.jpg"); got != want {
			t.Errorf("from %s: %s, want %s", place, got, want)
		}
	}
	if out, err := try(t, "triplicate restore nvme/personal/photos/3.jpg --from replica --to /run/e2e/back/r"); err == nil {
		t.Errorf("a restore overwrote what was there: %s", out)
	}
	if out, err := try(t, "triplicate restore nvme/personal/../../etc/passwd --from replica --to /run/e2e/back/r"); err == nil {
		t.Errorf("a restore left its dataset: %s", out)
	}
	// What was deleted before the second night is in the older points only.
	sh(t, "triplicate restore nvme/personal/photos/new.txt --from aws --to /run/e2e/back/o; [ $? = 5 ]")
}

// noSecret looks for the made-up secrets in everything that is written down, and in
// the arguments and environments of all processes but the simulator.
func noSecret(t *testing.T) {
	sh(t, "[ $(grep -l canary /run/sim/*.token /run/sim/aws.credentials | wc -l) = 3 ]") // they would be found
	ids := sh(t, `mkdir -p /run/e2e/histories; for id in smith-proxmox smith-guest-101 smith-guest-105 smith-datastore smith-offsite-aws smith-replicate-personal \
		$(sed -n 's/.*"workflowId": "\(.*\)".*/\1/p' /run/e2e/started); do triplicate replay --save /run/e2e/histories/$id.json $id >/dev/null && echo $id; done`)
	if len(lines(ids)) < 7 {
		t.Errorf("only these histories could be looked at: %s", ids)
	}
	found := sh(t, `grep -l -r -i canary /var/lib/triplicate /run/e2e/daemon.log /run/e2e/histories /run/e2e/commands 2>/dev/null
		for p in /proc/[0-9]*; do case "$(cat $p/comm 2>/dev/null)" in sim|grep|sh) continue;; esac
			for what in cmdline environ; do
				(tr '\0' ' ' <$p/$what | grep -q -i canary) 2>/dev/null && echo $p $what; done; done; true`)
	if found != "" {
		t.Errorf("secrets found in:\n%s", found)
	}
}

// blockedOffsite: while the bucket answers nothing, three nights run and end, each
// saying that the offsite copy goes on; when it answers again, it ends by itself.
func blockedOffsite(t *testing.T) {
	sh(t, "sim block; echo blocked >/hdd/data/late; triplicate run offsite --json >/run/e2e/blocked; sleep 3")
	for n := range 3 {
		sh(t, fmt.Sprintf("echo %d >>/nvme/personal/4.txt", n))
		report, _ := night(t)
		got := outcomes(report)
		if got["snapshot"] != "ok" || got["proxmox"] != "ok" || got["replicate"] != "ok" || got["offsite"] != "warning" {
			t.Errorf("night %d with a blocked bucket: %v\n%v", n+1, got, report)
		}
	}
	sh(t, "sim unblock")
	id := strings.TrimSpace(sh(t, `sed -n 's/.*"workflowId": "\(.*\)".*/\1/p' /run/e2e/blocked`))
	if out, err := try(t, "triplicate follow "+id+"; [ $? -le 3 ]"); err != nil {
		t.Errorf("the blocked copy did not end by itself: %v\n%s", err, out)
	}
	if now := simState(t); now.Versions["smith/hdd/data/hdd/data/@/late"] != 1 {
		t.Errorf("hdd/data/late has %d versions, want 1", now.Versions["smith/hdd/data/hdd/data/@/late"])
	}
}
