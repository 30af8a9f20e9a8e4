package activities

import (
	"time"

	"triplicate/internal/backup"
)

// RunKind says why a run happens; it decides whether the run waits for stage times.
type RunKind string

const (
	// Scheduled runs start at their schedule's instant and wait for stage times.
	Scheduled RunKind = "scheduled"
	// Manual runs (the command, a schedule's trigger) start now and wait for nothing.
	Manual RunKind = "manual"
	// Backfill runs stand for a night long past. Nothing is back-dated: they run now.
	Backfill RunKind = "backfill"
)

// Names of what a plan is read for.
const (
	PlanHourly   = "hourly"
	PlanNightly  = "nightly"
	PlanSnapshot = "snapshot" // every enabled row, now
)

// ReadPlanParams asks for a plan.
type ReadPlanParams struct {
	Workflow  string    `json:"workflow"`            // PlanHourly, PlanNightly or PlanSnapshot
	Scheduled time.Time `json:"scheduled,omitzero"`  // the schedule's instant; zero: started by hand
	Started   time.Time `json:"started"`             // when the run began
	OnlyStage string    `json:"onlyStage,omitempty"` // one stage instead of all
}

// Plan is what a run will do, resolved from config and world once and recorded:
// editing the config during the run changes nothing. It carries names and
// counts, never snapshot lists, and stays under 256 KiB at 500 datasets.
type Plan struct {
	Host     string        `json:"host"`
	Workflow string        `json:"workflow"`
	Run      RunKind       `json:"run"`
	Night    string        `json:"night,omitempty"` // local date of the night's morning, 2026-11-22
	Groups   []SnapshotSet `json:"groups,omitempty"`
	Replicas []PartPlan    `json:"replicas,omitempty"`
	Targets  []PartPlan    `json:"targets,omitempty"` // of the offsite stage
	Stages   []StagePlan   `json:"stages"`
	Notes    []string      `json:"notes,omitempty"` // what the operator should know
	// Items are the datasets that the run should snapshot or copy and that are not
	// there, or on a pool that cannot be listed: failed, before anything begins.
	// They belong to the snapshot stage.
	Items []Item `json:"items,omitempty"`
}

// SnapshotSet is the datasets of one pool that are snapshotted by one command.
type SnapshotSet struct {
	Pool     string    `json:"pool"`
	At       time.Time `json:"at,omitzero"` // UTC; zero: at once
	Datasets []string  `json:"datasets"`
}

// PartPlan is a replica or an offsite target and its own time.
type PartPlan struct {
	Name string    `json:"name"`
	At   time.Time `json:"at,omitzero"` // UTC; zero: at once
}

// StagePlan is one stage's times, in UTC. Zero times mean: at once, no bound. The
// snapshot stage is configured also where there is nothing but Plan.Items.
type StagePlan struct {
	Stage      backup.Stage `json:"stage"`
	Configured bool         `json:"configured"`
	At         time.Time    `json:"at,omitzero"`
	LatestEnd  time.Time    `json:"latestEnd,omitzero"`
}

// Item is what became of one dataset, replica or guest.
type Item struct {
	Name    string         `json:"name"`
	Outcome backup.Outcome `json:"outcome"`
	Detail  string         `json:"detail,omitempty"` // a sentence: what happened, what to do
	Bytes   int64          `json:"bytes,omitempty"`
}

// TakeSnapshotsParams names what to snapshot. Datasets outside the config's rows
// are refused, whoever asks.
type TakeSnapshotsParams struct {
	Pool     string       `json:"pool"`
	Datasets []string     `json:"datasets"`
	Stamp    backup.Stamp `json:"stamp"` // fixed in history before the command runs
	Run      string       `json:"run"`   // the run's mark, by which a retry knows its own
}

// TakeSnapshotsResult counts; Items names only what did not go well, the worst of
// it where it is much.
type TakeSnapshotsResult struct {
	Stamp backup.Stamp `json:"stamp"`
	Taken int          `json:"taken"` // snapshots with this stamp that are ours, now or from an earlier try
	Items []Item       `json:"items,omitempty"`
}

// PlanReplicaParams names a replica.
type PlanReplicaParams struct {
	Replica string       `json:"replica"`
	Stamp   backup.Stamp `json:"stamp,omitempty"` // the night's; an older newest point is a warning
}

// ReplicaPlan lists a replica's source datasets that have something to copy or to
// set right, parents first, and counts the others.
type ReplicaPlan struct {
	Replica  string   `json:"replica"`
	Source   string   `json:"source"`
	Target   string   `json:"target"`
	Sources  []string `json:"sources"`
	UpToDate int      `json:"upToDate,omitempty"`
	Items    []Item   `json:"items,omitempty"` // what can't be replicated, and why
}

// ReplicateParams names one source dataset of a replica.
type ReplicateParams struct {
	Replica string       `json:"replica"`
	Dataset string       `json:"dataset"`
	Stamp   backup.Stamp `json:"stamp,omitempty"` // the night's; an older newest point is a warning
}

// ReplicateResult says what the replica holds now.
type ReplicateResult struct {
	Dataset  string       `json:"dataset"`
	Target   string       `json:"target"`
	Snapshot string       `json:"snapshot"`
	GUID     backup.GUID  `json:"guid"`
	Kind     string       `json:"kind"` // full, incremental, resumed or up to date
	Bytes    int64        `json:"bytes"`
	Behind   bool         `json:"behind,omitempty"` // the newest point is older than the night's stamp
	Stamp    backup.Stamp `json:"stamp,omitempty"`
}

// PruneParams names what to prune: PlanHourly or PlanNightly rows.
type PruneParams struct {
	Scope string `json:"scope"`
}

// PruneResult counts; Items names what was left out, and why, the worst of it
// where it is much.
type PruneResult struct {
	Datasets  int    `json:"datasets"`
	Kept      int    `json:"kept"`
	Destroyed int    `json:"destroyed"`
	Items     []Item `json:"items,omitempty"`
}

// Progress is the heartbeat of a transfer: small, for it is sent every few seconds.
type Progress struct {
	Dataset string `json:"dataset"`
	Kind    string `json:"kind"`
	Bytes   int64  `json:"bytes"`
	Total   int64  `json:"total"`
}
