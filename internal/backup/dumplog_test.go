package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const gib = 1 << 30

func TestParseDump(t *testing.T) {
	started := []string{"INFO: starting new backup job: vzdump 101 --storage pbs", "INFO: Starting Backup of VM 101 (qemu)"}
	for name, test := range map[string]struct {
		lines []string
		want  DumpLog
	}{
		"nothing yet": {nil, DumpLog{}},
		"a VM under way": {
			append(started, "INFO: creating Proxmox Backup Server archive 'vm/101/2026-11-22T01:00:03Z'",
				"INFO:  41% (512.0 MiB of 1.5 GiB) in 3s, read: 169.3 MiB/s, write: 168.0 MiB/s"),
			DumpLog{Snapshot: "vm/101/2026-11-22T01:00:03Z", Percent: 41, Bytes: gib / 2, Total: gib * 3 / 2},
		},
		"a VM that is done": {
			[]string{
				"INFO: 100% (2.0 GiB of 2.0 GiB) in 1m 3s, read: 74.0 MiB/s, write: 0.0 B/s",
				"INFO: backup was done incrementally, reused 58.82 GiB (98%)",
				"INFO: transferred 2.00 GiB in 9 seconds (136.5 MiB/s)",
				"INFO: Finished Backup of VM 101 (00:00:10)", "INFO: Backup job finished successfully", "TASK OK",
			},
			DumpLog{Percent: 100, Bytes: 2 * gib, Total: 2 * gib, Reused: 98, Ended: true},
		},
		"a clean VM has nothing to send": {
			[]string{"INFO: 100% (0.0 B of 0.0 B) in 3s, read: 0 B/s, write: 0 B/s", "INFO: Finished Backup of VM 101 (00:00:03)", "TASK OK"},
			DumpLog{Percent: 100, Ended: true},
		},
		"a container under way has no percent": {
			[]string{
				"INFO: creating Proxmox Backup Server archive 'ct/105/2026-11-22T01:03:40Z'",
				"INFO: processed 7.805 GiB in 1m, uploaded 1.5 GiB",
			},
			DumpLog{Snapshot: "ct/105/2026-11-22T01:03:40Z", Bytes: gib * 3 / 2},
		},
		"a container's archives add up, in the new format": {
			[]string{
				"INFO: processed 7.805 GiB in 1m, uploaded 1.5 GiB",
				"INFO: root.ppxar: had to backup 2.5 GiB of 16 GiB (compressed 286.611 MiB) in 58.86 s (average 12.141 MiB/s)",
				"INFO: root.mpxar: had to backup 0.5 GiB of 1 GiB (compressed 1 MiB) in 58.86 s (average 12.141 MiB/s)",
				"INFO: root.ppxar: backup was done incrementally, reused 14.728 GiB (90.3%)",
				"INFO: Finished Backup of VM 105 (00:02:20)",
			},
			DumpLog{Percent: 100, Bytes: 3 * gib, Total: 17 * gib, Reused: 90.3},
		},
		"and in the old one": {
			[]string{"INFO: root.pxar: had to backup 1.5 GiB of 16 GiB (compressed 286.611 MiB) in 37.10s"},
			DumpLog{Bytes: gib * 3 / 2, Total: 16 * gib},
		},
		"waiting for the node's lock":  {[]string{"INFO: trying to get global lock - waiting..."}, DumpLog{Waiting: true}},
		"waiting is over":              {[]string{"INFO: trying to get global lock - waiting...", "INFO: got global lock"}, DumpLog{}},
		"the guest's reason says most": {[]string{"ERROR: aborted", "ERROR: Backup of VM 101 failed - VM is locked (snapshot)", "TASK ERROR: job errors"}, DumpLog{Failed: "VM is locked (snapshot)", Ended: true}},
		"the task's reason is better than none": {[]string{"TASK ERROR: could not activate storage 'pbs': no"},
			DumpLog{Failed: "could not activate storage 'pbs': no", Ended: true}},
		"an error that vzdump survived": {[]string{"ERROR: one", "TASK OK"}, DumpLog{Ended: true}},
		"an error after the guest is saved is not the guest's": {
			[]string{"INFO: Finished Backup of VM 101 (00:00:03)", "ERROR: could not notify", "TASK OK"},
			DumpLog{Percent: 100, Warnings: []string{"could not notify"}, Ended: true}},
		"warnings": {[]string{"WARN: unable to add notes - no", "INFO: Finished Backup of VM 101 (00:00:31)", "TASK WARNINGS: 1"},
			DumpLog{Percent: 100, Warnings: []string{"unable to add notes - no"}, Ended: true}},
		"suspend mode instead of snapshot mode is worth a warning": {
			[]string{"INFO: mode failure - some volumes do not support snapshots", "INFO: trying 'suspend' mode instead"},
			DumpLog{Warnings: []string{"mode failure - some volumes do not support snapshots"}}},
		"what is no number is no progress": {
			[]string{"INFO: 999% (1.2.3 GiB of 9e9 GiB) in 3s", "INFO: 150% (99999999999999 EiB of 1 GiB) in 3s, ", "INFO: transferred ", "\x00"},
			DumpLog{Percent: 100, Total: gib}},
		"a snapshot's name that is none": {[]string{"INFO: creating Proxmox Backup Server archive 'vm/101/../../x'"}, DumpLog{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ParseDump(test.lines)); diff != "" {
				t.Errorf("ParseDump (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDumpLogIsBounded(t *testing.T) {
	var d DumpLog
	long := strings.Repeat("ä", 5000)
	for range 1000 {
		d.Add("WARN: "+long, "ERROR: Backup of VM 101 failed - "+long)
	}
	b, err := json.Marshal(d)
	if err != nil || len(b) > 10_000 || strings.ContainsRune(string(b), '\ufffd') {
		t.Errorf("%d bytes of JSON, error %v: want at most 10000, whole runes", len(b), err)
	}
}

// vendorLogs are Proxmox's own log shapes; nil where the folder is absent.
func vendorLogs(t *testing.T) (samples []vendorLog) {
	t.Helper()
	dir := os.Getenv("TRIPLICATE_PROXMOX_API")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "proxmox-api")
	}
	b, err := os.ReadFile(filepath.Join(dir, "task-log-samples.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no vendor data: %v; set TRIPLICATE_PROXMOX_API to its folder", err)
	}
	var file struct{ Samples []vendorLog }
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil || len(file.Samples) == 0 {
		t.Fatalf("read vendor logs: %d samples, error %v", len(file.Samples), err)
	}
	return file.Samples
}

type vendorLog struct {
	Name, Product string
	Lines         []string
	Expect        struct {
		Result, Snapshot, Error, Transferred, Uploaded, Total string
		Progress                                              []int
		Reused                                                float64 `json:"reused_percent"`
		Warnings                                              int
	}
}

func TestVendorLogs(t *testing.T) {
	for _, sample := range vendorLogs(t) {
		if sample.Product != "pve" {
			continue
		}
		t.Run(sample.Name, func(t *testing.T) {
			// Line by line and through JSON each time, as heartbeats carry it.
			var got DumpLog
			var progress []int
			for _, line := range sample.Lines {
				before := got.Percent
				got.Add(line)
				b, err := json.Marshal(got)
				if err != nil {
					t.Fatal(err)
				}
				got = DumpLog{}
				if err := json.Unmarshal(b, &got); err != nil {
					t.Fatal(err)
				}
				if got.Percent != before {
					progress = append(progress, got.Percent)
				}
			}
			if diff := cmp.Diff(ParseDump(sample.Lines), got); diff != "" {
				t.Errorf("line by line it reads differently (-whole +lines):\n%s", diff)
			}
			want := sample.Expect
			if len(want.Progress) > 0 {
				if diff := cmp.Diff(want.Progress, progress); diff != "" {
					t.Errorf("progress (-want +got):\n%s", diff)
				}
			}
			if got.Snapshot != want.Snapshot && want.Snapshot != "" {
				t.Errorf("snapshot %q, want %q", got.Snapshot, want.Snapshot)
			}
			if sent := dumpSize(want.Transferred + want.Uploaded); sent != 0 && got.Bytes != sent {
				t.Errorf("%d bytes, want %d", got.Bytes, sent)
			}
			if total := dumpSize(want.Total); total != 0 && got.Total != total {
				t.Errorf("total %d, want %d", got.Total, total)
			}
			if got.Reused != want.Reused || len(got.Warnings) != want.Warnings {
				t.Errorf("reused %g, %d warnings; want %g, %d", got.Reused, len(got.Warnings), want.Reused, want.Warnings)
			}
			failed := want.Result == "failed" || want.Result == "aborted" || want.Result == ""
			if (got.Failed != "") != failed || want.Error != "" && got.Failed != want.Error {
				t.Errorf("failed with %s, want %q (%s)", strconv.Quote(got.Failed), want.Error, want.Result)
			}
		})
	}
}
