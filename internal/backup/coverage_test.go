package backup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(covered []Covered) []string {
	var list []string
	for _, c := range covered {
		list = append(list, c.Dataset.Name)
	}
	return list
}

func daily(h, m int) Frequency { return Frequency{Kind: EachDay, At: TimeOfDay{h, m}} }

var hourly = Frequency{Kind: EachHour}

// smith is the table of the machine that this was made for.
func smith() Policy {
	return Policy{
		Prefix: "triplicate",
		Rows: []Row{
			{Dataset: "nvme/personal", Frequency: hourly, Keep: Keep{Hourly: 12}},
			{Dataset: "nvme/vm", Frequency: hourly, Keep: Keep{Hourly: 12}},
			{Dataset: "nvme/data", Frequency: hourly, Keep: Keep{Hourly: 12}},
			{Dataset: "hdd/vm", Frequency: daily(1, 30), Keep: Keep{Daily: 7}},
			{Dataset: "hdd/data", Frequency: daily(1, 30), Keep: Keep{Daily: 14, Weekly: 8, Monthly: 6}},
			{Dataset: "hdd/backups-data", Frequency: daily(2, 0), Keep: Keep{Daily: 3}},
			{Dataset: "hdd/backups-vm", Frequency: Frequency{Kind: Disabled}},
		},
		Replicas: []Replica{
			{Name: "personal", Source: "nvme/personal", Target: "hdd/backups-data/personal", At: TimeOfDay{2, 30}},
			{Name: "data", Source: "nvme/data", Target: "hdd/backups-data/data", At: TimeOfDay{2, 30}},
		},
		Proxmox: &ProxmoxPolicy{At: TimeOfDay{2, 0}},
		Offsite: []OffsitePolicy{{Name: "aws", At: TimeOfDay{3, 0}, Pool: "hdd"}},
	}
}

func datasets(list ...string) []Dataset {
	var ds []Dataset
	for _, n := range list {
		ds = append(ds, Dataset{Name: n, Type: Filesystem})
	}
	return ds
}

func smithDatasets() []Dataset {
	return datasets(
		"hdd", "hdd/backups-data", "hdd/backups-data/data", "hdd/backups-data/notes",
		"hdd/backups-data/personal", "hdd/backups-data/personal/gone", "hdd/backups-data/personal/photos",
		"hdd/backups-vm", "hdd/data", "hdd/data/films", "hdd/vm",
		"nvme", "nvme/data", "nvme/personal", "nvme/personal-old", "nvme/personal/photos", "nvme/vm", "nvme/vm/vm-100-disk-0",
	)
}

func TestCoverSmith(t *testing.T) {
	p := smith()
	c := Cover(p, smithDatasets())
	if diff := cmp.Diff([]string{"hdd", "nvme", "nvme/personal-old"}, c.Uncovered()); diff != "" {
		t.Errorf("uncovered (-want +got):\n%s", diff)
	}
	want := []string{"nvme/data", "nvme/personal", "nvme/personal/photos", "nvme/vm", "nvme/vm/vm-100-disk-0"}
	if diff := cmp.Diff(want, c.DueHourly()); diff != "" {
		t.Errorf("hourly (-want +got):\n%s", diff)
	}
	if c.Missing != nil || c.Unkept() != nil {
		t.Errorf("got missing %v, unkept %v; want none", c.Missing, c.Unkept())
	}
	if diff := cmp.Diff([]string{"hdd/backups-data/personal/gone"}, Orphans(p.Replicas[0], c)); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	for _, d := range c.Datasets {
		if d.Dataset.Name == "hdd/backups-data/personal/photos" {
			if got, want := d.Keep(), (Keep{Daily: 3}); got != want {
				t.Errorf("a replica's keep: got %v, want %v, its row's", got, want)
			}
		}
	}
}

// Trap 1: a replica is never snapshotted by us, whatever row it lies under.
func TestReplicasAreNeverDue(t *testing.T) {
	p := smith()
	p.Rows = append(p.Rows, Row{Dataset: "hdd/backups-data/personal", Frequency: hourly, Keep: Keep{Daily: 3}})
	p.Replicas = append(p.Replicas, Replica{Name: "onward", Source: "hdd/backups-data", Target: "usb/copy"})
	c := Cover(p, append(smithDatasets(), datasets("usb", "usb/copy", "usb/copy/personal")...))
	due := append(c.DueHourly(), c.DueNow()...)
	for _, set := range DueNightly(p, c) {
		due = append(due, set.Datasets...)
	}
	for _, name := range due {
		for _, r := range p.Replicas {
			if Under(name, r.Target) {
				t.Errorf("%s is due but belongs to replica %s", name, r.Name)
			}
		}
	}
}

func TestCover(t *testing.T) {
	tests := map[string]struct {
		rows      []Row
		datasets  []string
		due       []string
		uncovered []string
		missing   []string
		unkept    []string
	}{
		"the more specific row wins, wherever it stands": {
			rows: []Row{
				{Dataset: "t/a", Frequency: daily(1, 0), Keep: Keep{Daily: 1}},
				{Dataset: "t", Frequency: hourly, Keep: Keep{Hourly: 1}},
				{Dataset: "t/b", Frequency: Frequency{Kind: Disabled}},
			},
			datasets: []string{"t", "t/a", "t/a/x", "t/ab", "t/b", "t/b/c"},
			due:      []string{"t", "t/ab"},
		},
		"an exclude takes out the subtree, not the neighbour": {
			rows:     []Row{{Dataset: "t", Frequency: hourly, Keep: Keep{Hourly: 1}, Exclude: []string{"t/tmp"}}},
			datasets: []string{"t", "t/tmp", "t/tmp/x", "t/tmp2"},
			due:      []string{"t", "t/tmp2"},
		},
		"an exclude does not fall back to a wider row": {
			rows: []Row{
				{Dataset: "t", Frequency: hourly, Keep: Keep{Hourly: 1}},
				{Dataset: "t/a", Frequency: hourly, Keep: Keep{Hourly: 1}, Exclude: []string{"t/a/tmp"}},
			},
			datasets: []string{"t", "t/a", "t/a/tmp"},
			due:      []string{"t", "t/a"},
		},
		"a row below an exclude is a row": {
			rows: []Row{
				{Dataset: "t", Frequency: hourly, Keep: Keep{Hourly: 1}, Exclude: []string{"t/a"}},
				{Dataset: "t/a/b", Frequency: hourly, Keep: Keep{Hourly: 1}},
			},
			datasets: []string{"t", "t/a", "t/a/b"},
			due:      []string{"t", "t/a/b"},
		},
		"containers in between are uncovered": {
			rows:      []Row{{Dataset: "t/a/b", Frequency: hourly, Keep: Keep{Hourly: 1}}},
			datasets:  []string{"t", "t/a", "t/a/b"},
			due:       []string{"t/a/b"},
			uncovered: []string{"t", "t/a"},
		},
		"a row without its dataset is reported": {
			rows:      []Row{{Dataset: "t/gone", Frequency: hourly, Keep: Keep{Hourly: 1}}},
			datasets:  []string{"t"},
			uncovered: []string{"t"},
			missing:   []string{"t/gone"},
		},
		"a frequency without a tier piles up": {
			rows:     []Row{{Dataset: "t", Frequency: hourly}},
			datasets: []string{"t"},
			due:      []string{"t"},
			unkept:   []string{"t"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := Cover(Policy{Rows: tt.rows}, datasets(tt.datasets...))
			got := [][]string{c.DueHourly(), c.Uncovered(), c.Missing, c.Unkept()}
			if diff := cmp.Diff([][]string{tt.due, tt.uncovered, tt.missing, tt.unkept}, got); diff != "" {
				t.Errorf("due, uncovered, missing, unkept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDueNightly(t *testing.T) {
	p := smith()
	want := []DueSet{
		{TimeOfDay{1, 30}, []string{"hdd/data", "hdd/data/films", "hdd/vm", "nvme/data", "nvme/personal", "nvme/personal/photos"}},
		{TimeOfDay{2, 0}, []string{"hdd/backups-data", "hdd/backups-data/notes"}},
	}
	if diff := cmp.Diff(want, DueNightly(p, Cover(p, smithDatasets()))); diff != "" {
		t.Errorf("smith (-want +got):\n%s", diff)
	}

	p.Rows = p.Rows[:3] // nothing daily: the sources are due when the night starts
	want = []DueSet{{TimeOfDay{2, 0}, []string{"nvme/data", "nvme/personal", "nvme/personal/photos"}}}
	if diff := cmp.Diff(want, DueNightly(p, Cover(p, smithDatasets()))); diff != "" {
		t.Errorf("no daily rows (-want +got):\n%s", diff)
	}

	// Two replicas of one source, and a source with a later daily row of its own.
	p = Policy{
		Rows: []Row{
			{Dataset: "t/late", Frequency: daily(4, 0)}, {Dataset: "t/evening", Frequency: daily(23, 0)},
			{Dataset: "t/h", Frequency: hourly}, {Dataset: "t/off", Frequency: Frequency{Kind: Disabled}},
		},
		Replicas: []Replica{{Name: "a", Source: "t", Target: "x/a"}, {Name: "b", Source: "t", Target: "y/b"}},
	}
	want = []DueSet{
		{TimeOfDay{23, 0}, []string{"t/evening", "t/h"}},
		{TimeOfDay{4, 0}, []string{"t/late"}},
	}
	if diff := cmp.Diff(want, DueNightly(p, Cover(p, datasets("t", "t/evening", "t/h", "t/late", "t/off")))); diff != "" {
		t.Errorf("each dataset once, at its own time (-want +got):\n%s", diff)
	}
}

func TestSourcesParentsFirst(t *testing.T) {
	p := Policy{
		Rows:     []Row{{Dataset: "t", Frequency: hourly, Exclude: []string{"t/tmp"}}},
		Replicas: []Replica{{Name: "r", Source: "t", Target: "x/t"}},
	}
	c := Cover(p, datasets("t/a-b", "t/a/c", "t/tmp", "t2", "t/a", "t"))
	if diff := cmp.Diff([]string{"t", "t/a", "t/a/c", "t/a-b"}, names(c.Sources(p.Replicas[0]))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.Replicas[0].TargetOf("t/a/c"); got != "x/t/a/c" {
		t.Errorf("TargetOf: got %s", got)
	}
	if got := p.Replicas[0].SourceOf("x/t"); got != "t" {
		t.Errorf("SourceOf: got %s", got)
	}
}

// A replica may be the source of another: only what r itself writes is not its
// source.
func TestSourcesOfAChain(t *testing.T) {
	p := smith()
	onward := Replica{Name: "onward", Source: "hdd/backups-data", Target: "usb/copy"}
	p.Replicas = append(p.Replicas, onward)
	c := Cover(p, append(smithDatasets(), datasets("usb", "usb/copy")...))
	want := []string{
		"hdd/backups-data", "hdd/backups-data/data", "hdd/backups-data/notes",
		"hdd/backups-data/personal", "hdd/backups-data/personal/gone", "hdd/backups-data/personal/photos",
	}
	if diff := cmp.Diff(want, names(c.Sources(onward))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	whole := Replica{Name: "whole", Source: "hdd", Target: "hdd/backups-data"}
	if diff := cmp.Diff([]string{"hdd", "hdd/backups-vm", "hdd/data", "hdd/data/films", "hdd/vm"}, names(c.Sources(whole))); diff != "" {
		t.Errorf("with its own target (-want +got):\n%s", diff)
	}
}

func TestCopied(t *testing.T) {
	p := smith()
	for name, tt := range map[string]struct {
		dataset string
		snaps   []Snapshot
		want    bool
	}{
		"a row snapshots it":               {"nvme/data", nil, true},
		"a replica has received something": {"hdd/backups-data/data", points("hdd/backups-data/data", 1), true},
		"a replica has received nothing":   {"hdd/backups-data/data", nil, false},
		"under no row":                     {"nvme/personal-old", nil, false},
		"with snapshots of somebody's":     {"nvme/personal-old", []Snapshot{foreign("nvme/personal-old", 5, 5)}, false},
		"with snapshots of an old row":     {"nvme/personal-old", points("nvme/personal-old", 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			c := Cover(p, datasets(tt.dataset)).Datasets[0]
			if got := c.Copied(p.Prefix, tt.snaps); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
