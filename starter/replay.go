package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"triplicate/workflows"
)

func (c *cli) replayCommand() *cobra.Command {
	var save string
	cmd := &cobra.Command{
		Use:   "replay WORKFLOW-ID|FILE",
		Short: "replay a recorded run against this version's workflows",
		Long: `Replay a run, by its workflow ID or from a history file (temporal workflow show
-o json, or the Web UI's download), against this version's workflow code, and say
whether it would take the same steps.`,
		Example: `  triplicate replay smith-nightly-2026-11-25T00:30:00Z
  triplicate replay smith-hourly-2026-11-25T12:00:00Z --save hourly.json
  triplicate replay hourly.json`,
		Args: takes(1, 1, "WORKFLOW-ID or FILE"),
		RunE: func(cc *cobra.Command, args []string) error {
			replayer := worker.NewWorkflowReplayer()
			workflows.Register(replayer)
			var err error
			if _, stat := os.Stat(args[0]); stat == nil {
				err = replayer.ReplayWorkflowHistoryFromJSONFile(nil, args[0])
			} else {
				var h *historypb.History
				if h, err = c.history(cc.Context(), args[0]); err != nil {
					return err
				}
				if save != "" {
					if err := saveHistory(h, save); err != nil {
						return fail(exitFailed, err, "name a file that does not exist, in a folder that does")
					}
				}
				err = replayer.ReplayWorkflowHistory(nil, h)
			}
			if err != nil {
				return fail(exitFailed, fmt.Errorf("%s does not replay: %w", args[0], err),
					"let such runs end before this version takes over, or install the one that made them; CONTRIBUTING.md says what a change to a workflow needs")
			}
			if c.json {
				return json.NewEncoder(c.out).Encode(map[string]string{"replayed": args[0]})
			}
			_, err = fmt.Fprintf(c.out, "%s replays: same steps\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&save, "save", "", "also write the history to a new `file`, as JSON")
	return cmd
}

// saveHistory writes the form that temporal workflow show -o json writes. It does
// not overwrite.
func saveHistory(h *historypb.History, path string) error {
	data, err := protojson.Marshal(h)
	if err != nil {
		return fmt.Errorf("history as JSON: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("save the history: %w", err)
	}
	if _, err := f.Write(append(data, '\n')); err != nil {
		_ = f.Close()
		return fmt.Errorf("save the history: %w", err)
	}
	return f.Close()
}

// history fetches a run's events.
func (c *cli) history(ctx context.Context, id string) (*historypb.History, error) {
	_, tc, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer tc.Close()
	return fetchHistory(ctx, tc, id)
}

func fetchHistory(ctx context.Context, tc client.Client, id string) (*historypb.History, error) {
	h := &historypb.History{}
	iter := tc.GetWorkflowHistory(ctx, id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		e, err := iter.Next()
		if err != nil {
			return nil, fail(exitFailed, fmt.Errorf("history of %s: %w", id, err), "temporal workflow list shows the runs there are")
		}
		h.Events = append(h.Events, e)
	}
	if len(h.Events) == 0 {
		return nil, fail(exitFailed, errors.New("no such workflow, and no such file: "+id), "temporal workflow list shows the runs there are")
	}
	return h, nil
}
