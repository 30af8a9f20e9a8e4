package config

import (
	"regexp"
	"strings"
	"testing"

	"triplicate/internal/backup"
)

func sampleOf(names ...string) string {
	var all []backup.Dataset
	for _, n := range names {
		all = append(all, backup.Dataset{Name: n})
	}
	return Sample("Smith.lan", "Europe/Vienna", []backup.Pool{{Name: "nvme", Size: 1 << 40}, {Name: "hdd", Size: 8 << 40}}, all, backup.Lineage{})
}

// TestSampleLoads as it is, and with its comments taken off.
func TestSampleLoads(t *testing.T) {
	text := sampleOf("nvme", "nvme/personal", "nvme/personal/photos", "hdd", "hdd/backups-vm", "hdd/my films", "hdd/odd%name")
	cfg, err := Load(strings.NewReader(text), "sample")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if cfg.Host != "smith" || cfg.Timezone != "Europe/Vienna" || cfg.Proxmox != nil || len(cfg.Offsite)+len(cfg.Replicas) != 0 {
		t.Errorf("%+v", cfg)
	}
	var rows []string
	for _, r := range cfg.Snapshots {
		rows = append(rows, r.Dataset+" "+r.Frequency.String())
	}
	want := "nvme daily at 01:30, nvme/personal hourly, hdd daily at 01:30, hdd/backups-vm daily at 02:00, hdd/my films hourly"
	if got := strings.Join(rows, ", "); got != want {
		t.Errorf("rows %s\nwant %s", got, want)
	}
	all := regexp.MustCompile(`(?m)^# ( *(-|[a-z_]+:))`).ReplaceAllString(text, "$1")
	cfg, err = Load(strings.NewReader(strings.ReplaceAll(all, "yaml-language-server:", "# x:")), "sample")
	if err != nil {
		t.Fatalf("without its comments: %v", err)
	}
	if cfg.Proxmox == nil || len(cfg.Offsite) != 1 || cfg.Offsite[0].Pool != "hdd" || cfg.Replicas[0].Source != "nvme/personal" {
		t.Errorf("without its comments: %+v", cfg)
	}
}

// TestSampleLeavesReplicasAlone: a snapshot of ours would break their next receive.
func TestSampleLeavesReplicasAlone(t *testing.T) {
	text := Sample("smith", "UTC", []backup.Pool{{Name: "hdd"}}, []backup.Dataset{{Name: "hdd"}, {Name: "hdd/copies"}, {
		Name: "hdd/copies/deep/personal", Properties: map[string]backup.Property{backup.PropSource: {Value: "x", Source: "local"}}}}, backup.Lineage{})
	if !strings.Contains(text, "dataset: hdd/copies/deep/personal, frequency: disabled }  # a replica") {
		t.Errorf("it says\n%s", text)
	}
	if _, err := Load(strings.NewReader(text), "sample"); err != nil {
		t.Error(err)
	}
}

// TestSampleLeavesOthersReplicasAlone: what another tool receives is off, and what is
// written to below it is not hidden by that.
func TestSampleLeavesOthersReplicasAlone(t *testing.T) {
	text := Sample("smith", "UTC", []backup.Pool{{Name: "hdd"}}, []backup.Dataset{
		{Name: "hdd"}, {Name: "hdd/copies", ReadOnly: true}, {Name: "hdd/copies/a", ReadOnly: true}, {Name: "hdd/copies/live"},
		{Name: "hdd/deep"}, {Name: "hdd/deep/syncoid", Properties: map[string]backup.Property{"triplicate:x": {Value: "y", Source: "received"}}},
		{Name: "hdd/sync/personal"}, {Name: "hdd/twin"},
	}, backup.Lineage{CopyOf: map[string]string{"hdd/sync/personal": "nvme/personal"}, Twin: map[string]string{"hdd/twin": "nvme/twin"}})
	cfg, err := Load(strings.NewReader(text), "sample")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var rows []string
	for _, r := range cfg.Snapshots {
		rows = append(rows, r.Dataset+" "+r.Frequency.String())
	}
	want := "hdd daily at 01:30, hdd/copies disabled, hdd/copies/live hourly, hdd/deep hourly, hdd/deep/syncoid disabled, hdd/sync/personal disabled, hdd/twin hourly"
	if got := strings.Join(rows, ", "); got != want {
		t.Errorf("rows %s\nwant %s", got, want)
	}
	for _, want := range []string{"disabled }  # read-only or received: ", "# another tool's copy of nvme/personal: ", "# shares its newest snapshot with nvme/twin: "} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// TestSampleOfNamesThatYAMLReadsOtherwise: a host's or a pool's name that YAML reads as a number, a
// truth value or nothing is text all the same.
func TestSampleOfNamesThatYAMLReadsOtherwise(t *testing.T) {
	for _, name := range []string{"10", "007", "0x10", "0o7", "1e3", "0b1", "2026-11-25", "10-1", "true", "False", "null", "yes", "off", "n", "smith"} {
		text := Sample(name, "UTC", []backup.Pool{{Name: "null"}}, []backup.Dataset{{Name: "null"}}, backup.Lineage{})
		cfg, err := Load(strings.NewReader(text), "sample")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cfg.Host != strings.ToLower(name) || cfg.Snapshots[0].Dataset != "null" {
			t.Errorf("%s is read as %q, its pool as %q", name, cfg.Host, cfg.Snapshots[0].Dataset)
		}
	}
}

func TestSampleOfOddNames(t *testing.T) {
	for name, want := range map[string]string{"SMITH.example.org": "smith", "my_box": "my-box", "": "server", "---": "server", strings.Repeat("a", 90): strings.Repeat("a", 63)} {
		if got := sampleHost(name); got != want {
			t.Errorf("host %q: %q, want %q", name, got, want)
		}
	}
	if got := sampleZone("Local"); got != "UTC" {
		t.Errorf("zone Local: %s", got)
	}
}
