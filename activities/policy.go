package activities

import (
	"context"
	"fmt"

	"triplicate/internal/backup"
)

// The acknowledged policy lives on the row's dataset, not in a database: it
// travels with the pool, and the engine's database stays disposable.

// rowMark is the policy mark of a row as the config has it now.
func (a *Pools) rowMark(row *backup.Row) string {
	return backup.PolicyMark(row.Keep, a.Policy.Zone, a.Policy.Prefix)
}

// acked is the mark that holds for a dataset: its own, left by a row that named
// it and perhaps is gone, else that of its row's dataset. False if there is none.
func (a *Pools) acked(w World, c backup.Covered) (string, bool) {
	for _, name := range []string{c.Dataset.Name, c.Row.Dataset} {
		if d := w.dataset(name); d != nil && d.Properties[backup.PropPolicy].Local() {
			return d.Properties[backup.PropPolicy].Value, true
		}
	}
	return "", false
}

func (a *Pools) policyShrunk(w World, c backup.Covered) bool {
	old, ok := a.acked(w, c)
	return ok && backup.PolicyShrinks(old, a.rowMark(c.Row))
}

// ackedMass: `triplicate ack retention` sets PropMass to the policy it was given
// for; the next prune uses it up.
func (a *Pools) ackedMass(w World, c backup.Covered) bool {
	d := w.dataset(c.Row.Dataset)
	return d != nil && d.Properties[backup.PropMass].Local() && d.Properties[backup.PropMass].Value == a.rowMark(c.Row)
}

// acknowledge records a policy that keeps at least what the recorded one kept, on
// the row's dataset and wherever an older row had left its own mark.
func (a *Pools) acknowledge(ctx context.Context, w World, c backup.Covered) error {
	mark := a.rowMark(c.Row)
	for _, name := range []string{c.Dataset.Name, c.Row.Dataset} {
		d := w.dataset(name)
		if d == nil || name != c.Row.Dataset && !d.Properties[backup.PropPolicy].Local() {
			continue
		}
		if p := d.Properties[backup.PropPolicy]; p.Local() && p.Value == mark {
			continue
		}
		if err := a.ZFS.SetProperties(ctx, name, map[string]string{backup.PropPolicy: mark}); err != nil {
			return fmt.Errorf("record the policy on %s: %w", name, err)
		}
		d.Properties[backup.PropPolicy] = backup.Property{Value: mark, Source: "local"}
	}
	return nil
}

// useUpMassAcks ends the mass acknowledgements: each allows one prune.
func (a *Pools) useUpMassAcks(ctx context.Context, w World) error {
	for i, row := range a.Policy.Rows {
		d := w.dataset(row.Dataset)
		if d == nil || d.Properties[backup.PropMass].Value != a.rowMark(&a.Policy.Rows[i]) {
			continue
		}
		if err := a.ZFS.SetProperties(ctx, row.Dataset, map[string]string{backup.PropMass: "used"}); err != nil {
			return fmt.Errorf("use up the acknowledgement on %s: %w", row.Dataset, err)
		}
	}
	return nil
}

// AckRetention records the config's retention of a row as the operator's wish,
// mass destroy included. It is called by the command, never by a workflow.
func (a *Pools) AckRetention(ctx context.Context, dataset string) error {
	w, err := a.look(ctx)
	if err != nil {
		return err
	}
	for i, row := range a.Policy.Rows {
		if row.Dataset != dataset {
			continue
		}
		mark := a.rowMark(&a.Policy.Rows[i])
		for _, c := range w.cover.Datasets {
			own := c.Dataset.Properties[backup.PropPolicy].Local()
			if c.Row == &a.Policy.Rows[i] && own && c.Dataset.Name != dataset {
				if err := a.ZFS.SetProperties(ctx, c.Dataset.Name, map[string]string{backup.PropPolicy: mark}); err != nil {
					return err
				}
			}
		}
		return a.ZFS.SetProperties(ctx, dataset, map[string]string{backup.PropPolicy: mark, backup.PropMass: mark})
	}
	return fmt.Errorf("%s has no row: %w", dataset, ErrNotConfigured)
}
