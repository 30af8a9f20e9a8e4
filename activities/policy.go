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

// acked is the mark on the row's dataset; false if there is none yet.
func (a *Pools) acked(w World, row *backup.Row) (string, bool) {
	d := w.dataset(row.Dataset)
	if d == nil {
		return "", false
	}
	p, ok := d.Properties[backup.PropPolicy]
	return p.Value, ok && p.Local()
}

func (a *Pools) policyShrunk(w World, c backup.Covered) bool {
	old, ok := a.acked(w, c.Row)
	return ok && backup.PolicyShrinks(old, a.rowMark(c.Row))
}

// ackedMass: `triplicate ack retention` sets PropMass to the policy it was given
// for; the next prune uses it up.
func (a *Pools) ackedMass(w World, c backup.Covered) bool {
	d := w.dataset(c.Row.Dataset)
	return d != nil && d.Properties[backup.PropMass].Local() && d.Properties[backup.PropMass].Value == a.rowMark(c.Row)
}

// acknowledge records a policy that keeps at least what the recorded one kept.
func (a *Pools) acknowledge(ctx context.Context, w World, c backup.Covered) error {
	old, ok := a.acked(w, c.Row)
	mark := a.rowMark(c.Row)
	if ok && old == mark || w.dataset(c.Row.Dataset) == nil {
		return nil
	}
	err := a.ZFS.SetProperties(ctx, c.Row.Dataset, map[string]string{backup.PropPolicy: mark})
	if err != nil {
		return fmt.Errorf("record the policy on %s: %w", c.Row.Dataset, err)
	}
	w.dataset(c.Row.Dataset).Properties[backup.PropPolicy] = backup.Property{Value: mark, Source: "local"}
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
	for i, row := range a.Policy.Rows {
		if row.Dataset != dataset {
			continue
		}
		mark := a.rowMark(&a.Policy.Rows[i])
		return a.ZFS.SetProperties(ctx, dataset, map[string]string{backup.PropPolicy: mark, backup.PropMass: mark})
	}
	return fmt.Errorf("%s has no row: %w", dataset, ErrNotConfigured)
}
