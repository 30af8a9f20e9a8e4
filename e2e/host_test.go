//go:build lab

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// onHost is how lab/host is called in the VM, which is a host with ZFS.
const onHost = "LAB_RUN=/tmp/lab-host LAB_DISK=96M /opt/e2e/host "

// refuses runs lab/host and wants it to fail saying why.
func refuses(t *testing.T, args, why string) {
	t.Helper()
	if out, err := try(t, onHost+args); err == nil || !strings.Contains(out, why) {
		t.Errorf("host %s: %v, want a refusal with %q:\n%s", args, err, why, out)
	}
}

// TestThrowAwayPoolsOnAHost: lab/host makes its pools, runs things in them, and
// takes them away; it never touches a pool that it did not make.
func TestThrowAwayPoolsOnAHost(t *testing.T) {
	stop(t)
	push(t, filepath.Join(root, "lab", "host"), "/opt/e2e")
	t.Run("somebody's pools are left alone", func(t *testing.T) {
		const pools = "zpool list -Hp -o name,guid; zfs list -Hp -t all -o name,guid"
		before := sh(t, pools)
		refuses(t, "up", "a pool nvme that lab/host did not make; it is left alone")
		// Our mark on other devices: a copy of a pool's root may carry it along.
		sh(t, "zfs set triplicate:lab=/tmp/lab-host nvme")
		refuses(t, "up", "pool nvme belongs to another lab")
		after := sh(t, onHost+"down; zfs inherit triplicate:lab nvme;"+pools)
		if after != before {
			t.Errorf("the pools were:\n%s\nand are:\n%s", before, after)
		}
	})

	// The VM's own pools make room, and come back for the other tests.
	devices := lines(sh(t, `zpool list -vHP | awk -F '\t' '$2 ~ "^/" { print $2 }'; zpool export nvme hdd`))
	defer func() { // not t.Cleanup: by then the test's context is gone
		_, _ = try(t, "zfs set triplicate:lab=/tmp/lab-host nvme; "+onHost+"down")
		from := " -d " + strings.Join(devices, " -d ")
		sh(t, "zpool import"+from+" nvme && zpool import"+from+" hdd")
	}()
	refuses(t, "save", "the VM's")
	if out := sh(t, onHost+"up && "+onHost+"up"); !strings.Contains(out, "already up in /tmp/lab-host") {
		t.Errorf("up, twice, says:\n%s", out)
	}
	t.Run("what runs in it", func(t *testing.T) { inHost(t) })
	t.Run("a pool that lost its mark is left alone", func(t *testing.T) {
		sh(t, "zfs inherit triplicate:lab nvme")
		refuses(t, "exec -- true", "no lab is up")
		refuses(t, "down", "not marked as the lab's; it is left alone")
		sh(t, "zpool list nvme && zfs set triplicate:lab=/tmp/lab-host nvme")
	})
	left := sh(t, onHost+"down; "+onHost+"status; zpool list -H; ls -d /tmp/lab-host/* /nvme /hdd 2>/dev/null; pidof sleep; true")
	if left != "down\n" {
		t.Errorf("down left behind:\n%s", left)
	}
	t.Run("the demo finds that this host has ZFS", func(t *testing.T) { demoOnHost(t) })
}

// demoOnHost runs the whole demo as on a host that has ZFS and no pools of its names.
func demoOnHost(t *testing.T) {
	for from, to := range map[string]string{
		"bin/triplicated": "bin", "bin/triplicate": "bin", "bin/sim": "bin", "bin/demo": "bin", "lab/host": "lab",
	} {
		push(t, filepath.Join(root, from), "/opt/repo/"+to)
	}
	out := sh(t, "cd /opt/repo && LAB_RUN=/tmp/lab-demo LAB_DISK=512M bin/demo -built 2>&1; rm -rf /opt/repo")
	for _, want := range []string{
		"real: OpenZFS on this host", "three copies, and one file back from each", "no copy of 15 datasets is missing or too old",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
}

// inHost uses each verb that runs or copies something.
func inHost(t *testing.T) {
	for name, tc := range map[string]struct{ script, want string }{
		"exec: streams, folder, variables and status, as in the VM": {
			`echo in | SECRET=1 host exec -C /nvme -e "A=it's" -e B= -- sh -c 'pwd; cat; echo "$A $B$SECRET$LAB_RUN$HOME"; exit 7'; echo $?`,
			"/nvme\nin\nit's /root\n7\n",
		},
		"exec: a limit": {`{ host exec --timeout 1 -- sleep 100; echo $?; } 2>/dev/null`, "137\n"},
		"push and pull": {
			`cd /tmp && mkdir -p p/in && echo x >p/in/f && host push p/in /opt/there && host pull /opt/there/in p/out && cat p/out/in/f`, "x\n",
		},
		"run: a binary with its testdata and GO variables, and its status": {
			`mkdir -p /tmp/q/testdata && cd /tmp/q && echo data >testdata/f
			export GOX=1; host run /bin/busybox sh -c 'cat testdata/f; echo $GOX; exit 3'; echo $?`, "data\n1\n3\n",
		},
		"datasets are mounted in it alone, the machine's folders are not written to, and what it left running ends": {
			`host exec -- sh -c 'zfs create nvme/a && echo x >/nvme/a/f && grep -c " /nvme/a " /proc/mounts
				for d in opt run var/lib etc/triplicate; do echo x >/$d/e2e-host; done
				sleep 1000 >/dev/null 2>&1 </dev/null &'
			grep -c " /nvme" /proc/mounts; ls /opt/e2e-host /run/e2e-host /var/lib/e2e-host /etc/triplicate/e2e-host 2>/dev/null`, "1\n0\n",
		},
		"forward: a port is where it is": {`host forward 8233 8233`, "lab: 127.0.0.1:8233 is this host's own already\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := try(t, "host() { "+onHost+`"$@"; }; `+tc.script)
			if out != tc.want {
				t.Errorf("%s\ngot %q, want %q", tc.script, out, tc.want)
			}
		})
	}
}
