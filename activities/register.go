package activities

// Registry is where activities are registered: a worker or a test environment.
type Registry interface {
	RegisterActivity(activity any)
}

// Register is the one list of activities. Methods are named one by one, because
// registering the struct would take every exported method for an activity.
func (a *Pools) Register(r Registry) {
	r.RegisterActivity(a.ReadPlan)
	r.RegisterActivity(a.TakeSnapshots)
	r.RegisterActivity(a.PlanReplica)
	r.RegisterActivity(a.ReplicateDataset)
	r.RegisterActivity(a.Prune)
}

// Register registers the steps on everything that is configured.
func (a *Copies) Register(r Registry) {
	a.Pools.Register(r)
	if a.Guests != nil {
		a.Guests.Register(r)
	}
	if a.Offsite != nil {
		a.Offsite.Register(r)
	}
}
