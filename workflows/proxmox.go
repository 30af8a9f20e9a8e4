package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// guests names the activities that talk to Proxmox; the worker has the real ones.
var guests *activities.Guests

// FailedProxmox is the failure type of a run with a guest that could not be backed
// up. Details hold the ProxmoxSummary.
const FailedProxmox = "ProxmoxFailed"

// ProxmoxParams names the run.
type ProxmoxParams struct {
	Host    string    `json:"host"`
	Key     string    `json:"key"` // stands in the notes of every backup of the run
	Started time.Time `json:"started"`
}

// ProxmoxSummary is what one run of the guests' backup did.
type ProxmoxSummary struct {
	Outcome backup.Outcome    `json:"outcome"`
	Detail  string            `json:"detail"`
	Guests  int               `json:"guests"` // backed up
	Bytes   int64             `json:"bytes"`
	Items   []activities.Item `json:"items,omitempty"` // what did not go well, or was left out
}

// Proxmox backs up the guests: one after the other on each node, because Proxmox
// VE locks the node for a vzdump, and all nodes side by side. A failed guest does
// not stop the others, but a target that cannot be written does, for that node.
func Proxmox(ctx workflow.Context, p ProxmoxParams) (ProxmoxSummary, error) {
	sum := ProxmoxSummary{Outcome: backup.OK}
	var plan activities.GuestPlan
	err := workflow.ExecuteActivity(with(ctx, quick, "list the guests"), guests.PlanGuests, activities.PlanGuestsParams{}).Get(ctx, &plan)
	if err != nil {
		return sum, err
	}
	sum.Items = plan.Items
	total := 0
	wg := workflow.NewWaitGroup(ctx)
	for _, node := range plan.Nodes {
		total += len(node.Guests)
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			sum.node(ctx, p, node, &total)
		})
	}
	wg.Wait(ctx)
	if ctx.Err() != nil {
		return sum, ctx.Err()
	}
	firstFailed := ""
	for _, it := range sum.Items {
		sum.Outcome = backup.Worst(sum.Outcome, it.Outcome)
		if firstFailed == "" && it.Outcome == backup.Failed {
			firstFailed = it.Name + ": " + it.Detail
		}
	}
	sum.Items = activities.AtMost(sum.Items)
	sum.Detail = fmt.Sprintf("%d of %d guests backed up, %s sent", sum.Guests, total, backup.Bytes(sum.Bytes))
	err = workflow.UpsertTypedSearchAttributes(ctx, AttrOutcome.ValueSet(string(sum.Outcome)), AttrBytes.ValueSet(sum.Bytes))
	if err != nil {
		return sum, err
	}
	workflow.SetCurrentDetails(ctx, sum.Detail)
	if sum.Outcome == backup.Failed {
		return sum, temporal.NewNonRetryableApplicationError(sum.Detail+"; "+firstFailed, FailedProxmox, nil, sum)
	}
	return sum, nil
}

// node backs up the guests of one node in turn.
func (s *ProxmoxSummary) node(ctx workflow.Context, p ProxmoxParams, n activities.NodeGuests, total *int) {
	broken := ""
	for _, g := range n.Guests {
		if ctx.Err() != nil {
			return
		}
		if broken != "" {
			s.Items = append(s.Items, activities.Item{Name: g.String(), Outcome: backup.Failed, Detail: "not tried: " + broken})
			continue
		}
		res, item := oneGuest(ctx, p, n.Node, g)
		if res.Storage {
			broken = res.Detail
		}
		if item.Outcome == backup.OK || item.Outcome == backup.Warning {
			s.Guests++
			s.Bytes += res.Bytes
		}
		if item.Outcome != backup.OK {
			s.Items = append(s.Items, item)
		}
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("%d of %d guests, %s sent; last: %s", s.Guests, *total, backup.Bytes(s.Bytes), g))
	}
}

// oneGuest runs a guest's child, which outlives this run if it must.
func oneGuest(ctx workflow.Context, p ProxmoxParams, node string, g activities.GuestRef) (GuestSummary, activities.Item) {
	var res GuestSummary
	running, err := part{
		id: GuestID(p.Host, g.VMID), summary: "back up guest " + g.String(),
		attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(p.Host), AttrGuest.ValueSet(fmt.Sprint(g.VMID))},
		workflow:   Guest, params: GuestParams{Host: p.Host, Guest: g, Node: node, Key: p.Key, Started: p.Started},
	}.run(ctx, &res)
	item := activities.Item{Name: g.String(), Outcome: res.Outcome, Detail: res.Detail, Bytes: res.Bytes}
	switch {
	case running:
		item.Outcome, item.Detail = backup.Skipped, "still being backed up by an earlier run ("+GuestID(p.Host, g.VMID)+")"
	case err != nil:
		item.Outcome, item.Detail = backup.Failed, reason(err)
	}
	return res, item
}

// proxmox runs the guests' backup, and then, beside the later stages, what looks
// after the datastore.
func (r *run) proxmox(ctx workflow.Context, s *StageReport) {
	var res ProxmoxSummary
	p := part{
		id: ProxmoxID(r.plan.Host), summary: "back up the guests",
		attributes: []temporal.SearchAttributeUpdate{AttrHost.ValueSet(r.plan.Host)},
		workflow:   Proxmox, params: ProxmoxParams{Host: r.plan.Host, Key: r.mark, Started: r.report.Started},
	}
	if running, err := p.run(ctx, &res); running || err != nil {
		s.add(p.item(running, err, activities.Item{Name: "proxmox"}))
		return
	}
	s.Summary, s.Bytes = res.Detail, res.Bytes
	s.add(res.Items...)
	if res.Guests > 0 {
		r.startTend(ctx)
	}
}
