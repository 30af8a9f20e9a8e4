package workflows

import (
	"errors"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"triplicate/activities"
	"triplicate/internal/backup"
)

// part is a child workflow with a fixed ID, which outlives its parent if it must:
// the ID is the lock, and a straggler goes on by itself.
type part struct {
	id, summary string
	attributes  []temporal.SearchAttributeUpdate
	workflow    any
	params      any
}

// run runs the part and fills sum from its result, or from the details of its
// failure: a failed workflow has no result. running says that an earlier run of it
// still goes on. Any other error is one without a summary.
func (p part) run(ctx workflow.Context, sum any) (running bool, err error) {
	err = workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            p.id,
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:         p.summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(p.attributes...),
		WaitForCancellation:   true,
	}), p.workflow, p.params).Get(ctx, sum)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return true, nil
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.HasDetails() && app.Details(sum) == nil {
		return false, nil
	}
	return false, err
}

// item is what an item says of the part that run has run: what the part says itself,
// that an earlier run of it goes on, or why it has nothing to say.
func (p part) item(running bool, err error, own activities.Item) activities.Item {
	switch {
	case running:
		own.Outcome, own.Detail = backup.Warning, "still running from an earlier run, which goes on ("+p.id+")"
	case err != nil:
		own.Outcome, own.Detail = backup.Failed, reason(err)
	}
	return own
}
