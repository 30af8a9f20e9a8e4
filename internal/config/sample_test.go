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
	return Sample("Smith.lan", "Europe/Vienna", []backup.Pool{{Name: "nvme", Size: 1 << 40}, {Name: "hdd", Size: 8 << 40}}, all)
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
		Name: "hdd/copies/deep/personal", Properties: map[string]backup.Property{backup.PropSource: {Value: "x", Source: "local"}}}})
	if !strings.Contains(text, "dataset: hdd/copies/deep/personal, frequency: disabled }  # a replica") {
		t.Errorf("it says\n%s", text)
	}
	if _, err := Load(strings.NewReader(text), "sample"); err != nil {
		t.Error(err)
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
