// Package config reads triplicate.yaml: one strict file that says what is backed
// up, when, and how long it is kept. Whatever is not understood is an error with
// line, column, a caret and what to do, because a key that is silently ignored
// is a backup that silently does not happen.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"

	"triplicate/internal/backup"
)

// Config is the whole file. A key's name is its yaml tag, its form its is tag;
// the comments here are what docs/configuration.md says.
type Config struct {
	// The name of this server. It is part of every workflow ID, schedule ID and task queue, so that several servers can share one Temporal cluster; changing it leaves the old ones behind.
	Host string `yaml:"host,required" is:"host"`
	// The IANA zone of every time in this file and of the calendar slots of every keep.
	Timezone string `yaml:"timezone,required" is:"timezone"`
	// Where the daemon keeps its database and catalogs.
	StateDirectory string `yaml:"state_directory" is:"path"`
	// What the names of our snapshots begin with: nvme/vm@triplicate-20261122T013000Z. Snapshots under an old prefix are no longer pruned.
	SnapshotPrefix string `yaml:"snapshot_prefix" is:"prefix"`
	// The table of ZFS snapshots, one row each.
	Snapshots []Row `yaml:"snapshots,required"`
	// Copies of datasets on another pool.
	Replicas []Replica `yaml:"replicas"`
	// Backup of the cluster's guests to a Proxmox Backup Server. Without it the night goes on without that stage.
	Proxmox *Proxmox `yaml:"proxmox"`
	// Copies of whole pools in S3.
	Offsite []Offsite `yaml:"offsite"`
	// When the next stage starts although this one has not ended. What is late goes on by itself and the report says so.
	LatestEnd LatestEnd `yaml:"latest_end"`
	// The workflow engine.
	Temporal Temporal `yaml:"temporal"`
}

// Row is one line of the snapshot table.
type Row struct {
	// The dataset. The row covers everything below it too, also what is created later; a more specific row wins.
	Dataset string `yaml:"dataset,required" is:"dataset"`
	// How often a snapshot is taken. A disabled row takes and prunes nothing, and hides its datasets from less specific rows.
	Frequency backup.Frequency `yaml:"frequency,required"`
	// How many snapshots stay. Required, except that a disabled row has none; only a disabled row on a replica's target has one: it is the keep of the snapshots received there.
	Keep backup.Keep `yaml:"keep"`
	// Datasets below the row's that it leaves out, with everything below them.
	Exclude []string `yaml:"exclude" is:"dataset"`
}

// Replica is a copy of a dataset and everything below it on another pool.
type Replica struct {
	// Its name in workflow IDs, bookmarks and holds: give one before you reorder or rename. By default the last part of source; where that is taken, all of it.
	Name string `yaml:"name" is:"name"`
	// The dataset that is copied, with everything below it.
	Source string `yaml:"source,required" is:"dataset"`
	// Where the copy is, on another pool. It takes no snapshots of its own; the row above it says how long received ones stay.
	Target string `yaml:"target,required" is:"dataset"`
	// When, daily. A disabled replica is left exactly as it is: nothing is received and nothing pruned.
	Frequency backup.Frequency `yaml:"frequency,required" is:"daily"`
}

// Proxmox says when guests are backed up, and through which two servers.
type Proxmox struct {
	// When, daily.
	Frequency backup.Frequency `yaml:"frequency,required" is:"daily"`
	// How many backups of each guest Proxmox Backup Server keeps.
	Keep backup.Keep `yaml:"keep,required"`
	// The VMIDs of guests that are left out.
	Exclude []int `yaml:"exclude" min:"100" max:"999999999"`
	// Proxmox VE, where the guests run.
	PVE PVE `yaml:"pve,required"`
	// Proxmox Backup Server, where their backups are.
	PBS PBS `yaml:"pbs,required"`
}

// PVE is the Proxmox VE cluster.
type PVE struct {
	// The API of one or more nodes; the first that answers serves.
	URLs []string `yaml:"urls,required" is:"url"`
	// SHA-256 fingerprints of the nodes' certificates. Without any, the system's certificate authorities decide.
	Fingerprints []string `yaml:"fingerprints" is:"fingerprint"`
	// An API token, as user@realm!name=secret.
	Token SecretRef `yaml:"token,required"`
	// The name that Proxmox VE has for the storage on Proxmox Backup Server.
	Storage string `yaml:"storage,required" is:"id"`
}

// PBS is the Proxmox Backup Server.
type PBS struct {
	// Its API.
	URL string `yaml:"url,required" is:"url"`
	// SHA-256 fingerprint of its certificate. Without it, the system's certificate authorities decide.
	Fingerprint string `yaml:"fingerprint" is:"fingerprint"`
	// An API token, as user@realm!name:secret.
	Token SecretRef `yaml:"token,required"`
	// The datastore, by the name it has there.
	Datastore string `yaml:"datastore,required" is:"id"`
	// The namespace in the datastore; the root unless set.
	Namespace string `yaml:"namespace" is:"namespace"`
	// The dataset of this server that the datastore is on. Its offsite copy is then read from a snapshot taken while the datastore is idle.
	Dataset string `yaml:"dataset" is:"dataset"`
	// The VMID of the container it runs in, if it is a guest of the cluster. It is left out: it cannot back itself up.
	VMID int `yaml:"vmid" min:"100" max:"999999999"`
}

// Offsite is a copy of one pool in an S3 bucket.
type Offsite struct {
	// Its name in workflow IDs.
	Name string `yaml:"name,required" is:"name"`
	// When, daily.
	Frequency backup.Frequency `yaml:"frequency,required" is:"daily"`
	// The pool; all of its datasets are covered, its root included.
	Pool string `yaml:"pool,required" is:"pool"`
	// The bucket.
	Bucket string `yaml:"bucket,required" is:"bucket"`
	// The bucket's region.
	Region string `yaml:"region,required" is:"region"`
	// What every key begins with; the bucket's root unless set.
	Prefix string `yaml:"prefix" is:"key prefix"`
	// Where data goes at once: GLACIER is Glacier Flexible Retrieval; or DEEP_ARCHIVE, GLACIER_IR, STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING. Prices that are shown are those of GLACIER. Manifests stay in STANDARD.
	StorageClass string `yaml:"storage_class" is:"storage class"`
	// An S3 other than Amazon's.
	Endpoint string `yaml:"endpoint" is:"url"`
	// An access key in the form of ~/.aws/credentials, profile [default].
	Credentials SecretRef `yaml:"credentials,required"`
	// A run whose requests would cost more US dollars than this waits for `triplicate ack offsite`, which shows the price of the storage, too. 0: no cap.
	CostCapUSD float64 `yaml:"cost_cap_usd" min:"0" max:"100000"`
}

// LatestEnd is when a stage stops holding up the next one. A night runs from
// noon to noon.
type LatestEnd struct {
	// Of taking the night's snapshots. Unless set, 30 minutes after the last of them is due.
	Snapshot *backup.TimeOfDay `yaml:"snapshot"`
	// Of the guests' backup. Unless set, 3 hours after its start.
	Proxmox *backup.TimeOfDay `yaml:"proxmox"`
	// Of replication. Unless set, 6 hours after the last replica is due.
	Replicate *backup.TimeOfDay `yaml:"replicate"`
	// Of watching the offsite copy, which then goes on unwatched. Unless set, 8 hours after its start.
	Offsite *backup.TimeOfDay `yaml:"offsite"`
}

// Temporal says where the workflow engine is.
type Temporal struct {
	// A Temporal server, as host:port. Empty runs one inside the daemon.
	Address string `yaml:"address" is:"address"`
	// The namespace.
	Namespace string `yaml:"namespace" is:"id"`
	// The IP address on which the embedded server and its Web UI listen.
	Listen string `yaml:"listen" is:"ip"`
	// The embedded server's port.
	Port int `yaml:"port" min:"1" max:"65535"`
	// The port of its Web UI.
	UIPort int `yaml:"ui_port" min:"1" max:"65535"`
	// Days for which the history of an ended workflow stays readable.
	RetentionDays int `yaml:"retention_days" min:"90" max:"3650"`
	// Permits listen to be reachable from the network. Neither port asks for a password: whoever reaches one commands the backups.
	AllowRemote bool `yaml:"allow_remote"`
}

// Default is what holds where the file is silent.
func Default() Config {
	return Config{
		StateDirectory: "/var/lib/triplicate",
		SnapshotPrefix: "triplicate",
		Temporal: Temporal{
			Namespace:     "default",
			Listen:        "127.0.0.1",
			Port:          7233,
			UIPort:        8233,
			RetentionDays: 90,
		},
	}
}

// setDefaults is Default for an element of a list.
func (o *Offsite) setDefaults() {
	o.StorageClass = "GLACIER"
	o.CostCapUSD = 5
}

// Fingerprint is the same for configs that say the same, whatever their comments and
// their order of keys, and tells nothing of what they say.
func (c *Config) Fingerprint() string {
	var whole any
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &whole)
	}
	if err == nil {
		text, err = json.Marshal(withoutEmpty(whole))
	}
	if err != nil { // no type of it can fail
		return "unknown"
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// withoutEmpty leaves out what is nothing: an empty list says what no list says, and a
// key that an older version does not know is no difference while it is not used.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if v[k] = withoutEmpty(x); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i, x := range v {
			v[i] = withoutEmpty(x)
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// LoadFile is Load of the file at path.
func LoadFile(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Load(f, path)
}

// Load reads a config; filename is only what its errors call it. An error in the
// text is an *Error with every problem found; the Config is then nil. Load reads
// no secret and looks at nothing but the text.
func Load(r io.Reader, filename string) (*Config, error) {
	src, err := readSource(r, filename)
	if err != nil {
		return nil, err
	}
	c := Default()
	d := &decoder{src: src, spots: map[string]spot{}, bad: map[string]bool{}}
	if root := d.parse(); root != nil {
		d.file(root, &c)
		d.check(&c)
	}
	if err := src.err(); err != nil {
		return nil, err
	}
	return &c, nil
}
