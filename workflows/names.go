package workflows

import "fmt"

// Every ID and the task queue carry the configured host name, because several
// hosts may share one cluster. These functions are the only places they are spelt.

// TaskQueue is the queue that host's daemon serves.
func TaskQueue(host string) string { return host }

// transferQueue is what follows TaskQueue in the name of the queue for long steps.
const transferQueue = "-transfers"

// TransferQueue is the queue of host's long steps: streams, uploads, waiting for
// tasks. Its daemon serves it beside the other.
func TransferQueue(host string) string { return TaskQueue(host) + transferQueue }

// NightlyID is the workflow ID, and the schedule ID, of host's nights. A schedule
// appends its instant to the workflow ID.
func NightlyID(host string) string { return host + "-nightly" }

// HourlyID is the workflow ID, and the schedule ID, of host's hourly snapshots.
func HourlyID(host string) string { return host + "-hourly" }

// ReplicateID is fixed per replica: at most one run of it exists at a time.
func ReplicateID(host, replica string) string { return host + "-replicate-" + replica }

// PruneID is fixed per scope.
func PruneID(host, scope string) string { return host + "-prune-" + scope }

// ClaimID is fixed per night: whoever starts it first owns the night.
func ClaimID(host, night string) string { return host + "-night-" + night }

// ProxmoxID is fixed: one run of the guests' backup at a time.
func ProxmoxID(host string) string { return host + "-proxmox" }

// GuestID is fixed per guest: two runs never back up one guest at once.
func GuestID(host string, vmid int) string { return fmt.Sprintf("%s-guest-%d", host, vmid) }

// TendID is fixed: one verify, prune and garbage collection at a time.
func TendID(host string) string { return host + "-datastore" }

// OffsiteID is fixed per target: the first run of one may take days.
func OffsiteID(host, target string) string { return host + "-offsite-" + target }
