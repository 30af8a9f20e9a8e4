package workflows

import "go.temporal.io/sdk/worker"

// Register is the one list of workflows, for the worker, the replayer and the
// test environment alike.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflow(Nightly)
	r.RegisterWorkflow(Hourly)
	r.RegisterWorkflow(Replicate)
	r.RegisterWorkflow(Prune)
	r.RegisterWorkflow(Claim)
	r.RegisterWorkflow(Proxmox)
	r.RegisterWorkflow(Guest)
	r.RegisterWorkflow(Tend)
	r.RegisterWorkflow(Offsite)
}
