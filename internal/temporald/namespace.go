package temporald

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Owner says whose server it is.
type Owner bool

// On our own server the config decides how long histories stay. On somebody
// else's it does not: a namespace may be shared, and shortening its retention
// would delete the histories of others.
const (
	Ours   Owner = true
	Theirs Owner = false
)

// Prepare makes namespace and search attributes as they should be. On a server of
// somebody else's, where we may lack the right, what is there is used as it is,
// and only a missing namespace is an error.
func Prepare(ctx context.Context, c client.Client, whose Owner, namespace string, retention time.Duration, attrs map[string]enumspb.IndexedValueType) error {
	svc := c.WorkflowService()
	d, err := svc.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	var missing *serviceerror.NamespaceNotFound
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &missing), errors.As(err, &notFound):
		_, err = svc.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
			Description: "Triplicate backups",
		})
		var exists *serviceerror.NamespaceAlreadyExists
		if err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("create namespace %s (ask the cluster's operator to): %w", namespace, err)
		}
		if err := awaitNamespace(ctx, c, namespace); err != nil {
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
	case err != nil:
		return fmt.Errorf("describe namespace %s: %w", namespace, err)
	case whose == Ours && d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() != retention:
		_, err = svc.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
			Namespace: namespace,
			Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(retention)},
		})
		if err != nil {
			return fmt.Errorf("set retention of namespace %s: %w", namespace, err)
		}
	}
	return addSearchAttributes(ctx, c, namespace, attrs)
}

func addSearchAttributes(ctx context.Context, c client.Client, namespace string, attrs map[string]enumspb.IndexedValueType) error {
	op := c.OperatorService()
	have, err := op.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", err)
	}
	missing := maps.Clone(attrs)
	maps.DeleteFunc(missing, func(name string, _ enumspb.IndexedValueType) bool {
		_, ok := have.GetCustomAttributes()[name]
		return ok
	})
	if len(missing) == 0 {
		return nil
	}
	_, err = op.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	var exists *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("add search attributes (temporal operator search-attribute create): %w", err)
	}
	return nil
}

// awaitServer waits until a server answers for namespaces at all, whether or not
// it has this one yet.
func awaitServer(ctx context.Context, c client.Client, namespace string) error {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		var missing *serviceerror.NamespaceNotFound
		var notFound *serviceerror.NotFound
		if err == nil || errors.As(err, &missing) || errors.As(err, &notFound) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		case <-t.C:
		}
	}
}

// awaitNamespace waits until namespace can be used: a server that has just
// started, and a namespace that was just made, take a moment.
func awaitNamespace(ctx context.Context, c client.Client, namespace string) error {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	var err error
	for {
		_, err = c.WorkflowService().CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		case <-t.C:
		}
	}
}
