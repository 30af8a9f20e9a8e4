package config

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
)

// base is a small valid config for tests to append to.
const base = `host: smith
timezone: Europe/Vienna
snapshots:
  - { dataset: nvme/data, frequency: hourly, keep: { hourly: 12 } }
  - { dataset: hdd/backups-data, frequency: daily at 02:00, keep: { daily: 3 } }
`

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(strings.NewReader(text), "triplicate.yaml")
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	return c
}

func daily(hour, minute int) backup.Frequency {
	return backup.Frequency{Kind: backup.EachDay, At: backup.TimeOfDay{Hour: hour, Minute: minute}}
}

// The example is the user's table of docs/, so it is compared with it in full.
func TestExamplePolicy(t *testing.T) {
	c, err := LoadFile("../../triplicate.example.yaml")
	if err != nil {
		t.Fatalf("load the example:\n%v", err)
	}
	got := c.Policy()
	if got.Zone.String() != "Europe/Vienna" {
		t.Errorf("zone: got %v", got.Zone)
	}
	got.Zone = nil
	hourly := backup.Frequency{Kind: backup.EachHour}
	at := func(h, m int) backup.TimeOfDay { return backup.TimeOfDay{Hour: h, Minute: m} }
	want := backup.Policy{
		Host: "smith", Prefix: "triplicate",
		Rows: []backup.Row{
			{Dataset: "nvme/personal", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "nvme/vm", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "nvme/data", Frequency: hourly, Keep: backup.Keep{Hourly: 12}},
			{Dataset: "hdd/vm", Frequency: daily(1, 30), Keep: backup.Keep{Daily: 7}},
			{Dataset: "hdd/data", Frequency: daily(1, 30), Keep: backup.Keep{Daily: 14, Weekly: 8, Monthly: 6}},
			{Dataset: "hdd/backups-data", Frequency: daily(2, 0), Keep: backup.Keep{Daily: 3}},
			{Dataset: "hdd/backups-vm", Frequency: backup.Frequency{Kind: backup.Disabled}},
		},
		Replicas: []backup.Replica{
			{Name: "personal", Source: "nvme/personal", Target: "hdd/backups-data/personal", At: at(2, 30)},
			{Name: "data", Source: "nvme/data", Target: "hdd/backups-data/data", At: at(2, 30)},
		},
		Proxmox: &backup.ProxmoxPolicy{At: at(2, 0), Storage: "pbs", Datastore: "backups-vm", Dataset: "hdd/backups-vm",
			Keep: backup.Keep{Daily: 3, Weekly: 2, Monthly: 3}},
		Offsite: []backup.OffsitePolicy{{Name: "aws", At: at(3, 0), Pool: "hdd", Bucket: "smith-offsite", Prefix: "smith/hdd", CapUSD: 5}},
		LatestEnd: map[backup.Stage]backup.TimeOfDay{
			backup.StageSnapshot: at(2, 15), backup.StageProxmox: at(5, 0),
			backup.StageReplicate: at(8, 0), backup.StageOffsite: at(11, 0),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

// The keys of the example that Policy does not carry.
func TestExampleRest(t *testing.T) {
	c, err := LoadFile("../../triplicate.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default().Temporal, c.Temporal); diff != "" {
		t.Errorf("the example's temporal is not the default (-default +example):\n%s", diff)
	}
	if c.StateDirectory != "/var/lib/triplicate" {
		t.Errorf("state directory: got %q", c.StateDirectory)
	}
	if got, want := c.Proxmox.PVE.Token, (SecretRef{File: "/etc/triplicate/pve.token"}); got != want {
		t.Errorf("token: got %v, want %v", got, want)
	}
	if o := c.Offsite[0]; o.StorageClass != "GLACIER" || o.CostCapUSD != 5 || o.Region != "eu-central-1" {
		t.Errorf("offsite: got %+v", o)
	}
}

func TestPolicyReplicas(t *testing.T) {
	tests := map[string]struct {
		text     string // appended to base
		names    []string
		disabled []string // datasets of disabled rows
	}{
		"the last part of source is the name": {
			text:  "replicas: [ { source: nvme/data, target: hdd/backups-data/a, frequency: daily at 02:30 } ]",
			names: []string{"data"},
		},
		"the second of two gets the longer name, the first keeps its": {
			text: `replicas:
  - { source: nvme/data/Photos, target: hdd/backups-data/a, frequency: daily at 02:30 }
  - { source: nvme/data/old/photos, target: hdd/backups-data/b, frequency: daily at 02:30 }
  - { source: nvme/data/old/photos, target: hdd/backups-data/c, frequency: daily at 02:30 }`,
			names: []string{"photos", "nvme-data-old-photos", "nvme-data-old-photos-2"},
		},
		"a given name is not taken by a default": {
			text: `replicas:
  - { source: nvme/data/x, target: hdd/backups-data/a, frequency: daily at 02:30 }
  - { name: x, source: nvme/data/y, target: hdd/backups-data/b, frequency: daily at 02:30 }`,
			names: []string{"nvme-data-x", "x"},
		},
		"a disabled replica shadows the row above its target": {
			text:     "replicas: [ { source: nvme/data, target: hdd/backups-data/a, frequency: disabled } ]",
			disabled: []string{"hdd/backups-data/a"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := load(t, base+tt.text).Policy()
			var names, disabled []string
			for _, r := range p.Replicas {
				names = append(names, r.Name)
			}
			for _, r := range p.Rows {
				if r.Frequency.Kind == backup.Disabled {
					disabled = append(disabled, r.Dataset)
				}
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.disabled, disabled); diff != "" {
				t.Errorf("disabled rows (-want +got):\n%s", diff)
			}
		})
	}
}

// With hourly rows only, the night still snapshots what replicas copy.
func TestPolicyLatestEndHourly(t *testing.T) {
	c := load(t, `host: smith
timezone: UTC
snapshots: [ { dataset: nvme, frequency: hourly, keep: { hourly: 12 } }, { dataset: hdd, frequency: disabled, keep: { daily: 3 } } ]
replicas: [ { source: nvme, target: hdd, frequency: daily at 02:30 } ]
`)
	if got := c.Policy().LatestEnd[backup.StageSnapshot].String(); got != "03:00" {
		t.Errorf("latest end of snapshot: got %s, want 03:00", got)
	}
}

func TestPolicyLatestEnd(t *testing.T) {
	replica := "replicas: [ { source: nvme/data, target: hdd/backups-data/a, frequency: daily at 02:30 } ]\n"
	tests := map[string]struct {
		text string
		want string // snapshot proxmox replicate offsite
	}{
		"defaults; a stage with nothing to do ends with the one before": {replica, "02:30 02:30 08:30 08:30"},
		"a set end holds back the defaults before it":                   {replica + "latest_end: { proxmox: 02:15 }\n", "02:15 02:15 08:30 08:30"},
		"a set end pushes on the defaults behind it":                    {replica + "latest_end: { proxmox: 09:00 }\n", "02:30 09:00 09:00 09:00"},
		"defaults stop at the end of the night": {`replicas: [ { source: nvme/data, target: hdd/backups-data/a, frequency: daily at 09:00 } ]
latest_end: { snapshot: 03:00 }
`, "03:00 03:00 11:59 11:59"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			ends := load(t, base+tt.text).Policy().LatestEnd
			for _, s := range backup.Stages() {
				got = append(got, ends[s].String())
			}
			if g := strings.Join(got, " "); g != tt.want {
				t.Errorf("got %s, want %s", g, tt.want)
			}
		})
	}
}

// What is right must load: each of these was refused by some stricter draft.
func TestAccepted(t *testing.T) {
	tests := map[string]string{
		"all":                      strings.Replace(base, "daily: 3", "daily: 3, yearly: all", 1),
		"windows line ends":        strings.ReplaceAll(base, "\n", "\r\n"),
		"byte order mark":          "\ufeff" + base,
		"document dashes":          "---\n" + base,
		"pool as row":              base + "  - { dataset: tank, frequency: disabled }\n",
		"odd dataset names":        base + "  - { dataset: \"tank/My Photos:2020_x.y-z\", frequency: hourly, keep: { hourly: 1 } }\n",
		"keep on a replica":        base + "  - { dataset: hdd/backups-data/a, frequency: disabled, keep: { daily: 9 } }\nreplicas: [ { source: nvme/data, target: hdd/backups-data/a, frequency: daily at 02:30 } ]\n",
		"replica of a replica":     base + "  - { dataset: usb, frequency: disabled, keep: { daily: 9 } }\nreplicas:\n  - { source: nvme/data, target: hdd/backups-data/a, frequency: daily at 02:30 }\n  - { source: hdd/backups-data/a, target: usb, frequency: daily at 02:30 }\n",
		"exclude below":            strings.Replace(base, "keep: { hourly: 12 }", "keep: { hourly: 12 }, exclude: [ nvme/data/tmp ]", 1),
		"evening row":              base + "  - { dataset: tank, frequency: daily at 22:00, keep: { daily: 1 } }\n",
		"remote listen, permitted": base + "temporal: { listen: 0.0.0.0, allow_remote: true }\n",
		"external server":          base + "temporal: { address: \"temporal.lan:7233\" }\n",
		"ipv6 loopback":            base + "temporal: { listen: \"::1\" }\n",
		"credential":               base + "offsite: [ { name: a, frequency: disabled, pool: hdd, bucket: abc, region: eu-central-1, credentials: { credential: aws } } ]\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) { load(t, text) })
	}
}

func TestLoadTooLarge(t *testing.T) {
	_, err := Load(strings.NewReader(strings.Repeat("#", maxSize+1)), "x.yaml")
	if err == nil || !strings.Contains(err.Error(), "x.yaml: larger than") {
		t.Errorf("got %v", err)
	}
	var e *Error
	if errors.As(err, &e) {
		t.Error("a size has no line")
	}
}

// TestFingerprint: what a config says decides, not how it is written down.
func TestFingerprint(t *testing.T) {
	data, err := os.ReadFile("../../triplicate.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	print := func(text string) string { return load(t, text).Fingerprint() }
	was := print(text)
	if again := print("# a comment\n" + strings.ReplaceAll(strings.ReplaceAll(text, "  # ", "    # "), "  exclude: [] ", "")); again != was {
		t.Errorf("a comment changed it: %s, %s", was, again)
	}
	seen := map[string]string{was: "the example"}
	for _, change := range [][2]string{
		{"host:     smith", "host:     jones"}, {"keep: { hourly: 12 }", "keep: { hourly: 13 }"}, {"daily at 01:30", "daily at 01:31"},
		{"keep: { daily: 3, weekly: 2, monthly: 3 }", "keep: { daily: 3, weekly: 2, monthly: 4 }"}, {"exclude: []", "exclude: [101]"},
		{"pve.token", "pve2.token"}, {"target: hdd/backups-data/personal", "target: hdd/backups-data/other"},
		{"prefix: smith/hdd", "prefix: smith/other"}, {"proxmox:   05:00", "proxmox:   05:30"}, {"cost_cap_usd: 5", "cost_cap_usd: 6"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the example has no %q", change[0])
		}
		now := print(strings.Replace(text, change[0], change[1], 1))
		if before, ok := seen[now]; ok {
			t.Errorf("%s has the fingerprint of %s", change[1], before)
		}
		seen[now] = change[1]
	}
}
