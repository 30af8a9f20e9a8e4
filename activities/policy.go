package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"triplicate/internal/backup"
)

// The acknowledged policy lives on the row's dataset, not in a database: it
// travels with the pool, and the engine's database stays disposable.

// rowMark is the policy mark of a row as the config has it now.
func (a *Pools) rowMark(row *backup.Row) string {
	return backup.PolicyMark(row.Keep, a.Policy.Zone, a.Policy.Prefix)
}

// acked is the policy that a dataset's history was last kept by: the mark on the
// nearest dataset at or over it that has one. What lies between the dataset and
// its row counts as well, for a narrower row that is gone left its mark there.
// False if there is none.
func (w World) acked(name string) (string, bool) {
	for {
		if d := w.dataset(name); d != nil && d.Properties[backup.PropPolicy].Local() {
			return d.Properties[backup.PropPolicy].Value, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return "", false
		}
		name = name[:i]
	}
}

// policyShrunk: the row keeps less of the dataset than what was acknowledged. A
// row that keeps nothing is refused by its own name (backup.RefuseNoKeep).
func (a *Pools) policyShrunk(w World, c backup.Covered) bool {
	return c.Row.Keep != (backup.Keep{}) && a.shrinks(w, c.Dataset.Name, c.Row)
}

func (a *Pools) shrinks(w World, name string, row *backup.Row) bool {
	old, ok := w.acked(name)
	return ok && backup.PolicyShrinks(old, a.rowMark(row))
}

// ackedMass: `triplicate ack retention` sets PropMass to the policy it was given
// for; the next prune uses it up.
func (a *Pools) ackedMass(w World, c backup.Covered) bool {
	d := w.dataset(c.Row.Dataset)
	return d != nil && d.Properties[backup.PropMass].Local() && d.Properties[backup.PropMass].Value == a.rowMark(c.Row)
}

// unrecorded is a row whose policy could not be recorded.
type unrecorded struct {
	row string // its dataset
	error
}

type unrecordedRows []unrecorded

// of says whether a row is among them.
func (u unrecordedRows) of(row string) bool {
	return slices.ContainsFunc(u, func(x unrecorded) bool { return x.row == row })
}

// acknowledge records the policies of a scope's rows: of each row that shrinks
// nothing of any of its datasets, on the row's dataset and wherever below an older
// row had left its mark. All are judged by the world as it was, so that no dataset
// speaks for another. Narrower rows come first, whatever their scope: a wider
// row's mark would be taken for theirs. It answers with the rows that could not
// be recorded, by which nothing may be destroyed.
func (a *Pools) acknowledge(ctx context.Context, w World, scope string) (failed unrecordedRows) {
	datasets := map[*backup.Row][]string{} // the row's own, and what a prune decides on by it
	var due []string
	for _, c := range w.cover.Datasets {
		if !Pruned(c) || c.Row.Keep == (backup.Keep{}) {
			continue
		}
		if datasets[c.Row] == nil {
			datasets[c.Row] = []string{c.Row.Dataset}
		}
		datasets[c.Row] = append(datasets[c.Row], c.Dataset.Name)
		if inScope(scope, c) {
			due = append(due, c.Row.Dataset)
		}
	}
	rows := slices.Collect(maps.Keys(datasets))
	slices.SortFunc(rows, func(x, y *backup.Row) int {
		return cmp.Or(cmp.Compare(strings.Count(y.Dataset, "/"), strings.Count(x.Dataset, "/")), cmp.Compare(x.Dataset, y.Dataset))
	})
	for _, row := range rows {
		if !slices.ContainsFunc(due, func(d string) bool { return backup.Under(row.Dataset, d) }) {
			continue
		}
		i := slices.IndexFunc(failed, func(u unrecorded) bool { return backup.Under(u.row, row.Dataset) })
		if i >= 0 {
			failed = append(failed, unrecorded{row.Dataset, failed[i].error})
		} else if err := a.record(ctx, w, row, datasets[row]); err != nil {
			failed = append(failed, unrecorded{row.Dataset, err})
		}
	}
	return failed
}

// record writes a row's mark, unless it shrinks what one of the datasets had.
func (a *Pools) record(ctx context.Context, w World, row *backup.Row, datasets []string) error {
	mark := a.rowMark(row)
	if slices.ContainsFunc(datasets, func(d string) bool { return a.shrinks(w, d, row) }) {
		return nil
	}
	slices.Sort(datasets)
	datasets = slices.Compact(datasets)
	for _, name := range slices.Backward(datasets) { // the row's own last: it speaks for all
		p := w.dataset(name).Properties[backup.PropPolicy]
		if name != row.Dataset && !p.Local() || p.Local() && p.Value == mark {
			continue
		}
		if err := a.ZFS.SetProperties(ctx, name, map[string]string{backup.PropPolicy: mark}); err != nil {
			return fmt.Errorf("record the policy on %s: %w", name, err)
		}
	}
	return nil
}

// useUpMassAcks ends the mass acknowledgements that this prune has made use of:
// each allows one prune of its row. A row of which a dataset was in use, refused
// or failed keeps it for the next time, and one with datasets in both prunes
// keeps it for the nightly.
func (a *Pools) useUpMassAcks(ctx context.Context, w World, scope string, parts []*pruning) error {
	for i := range a.Policy.Rows {
		row := &a.Policy.Rows[i]
		d := w.dataset(row.Dataset)
		if d == nil || !d.Properties[backup.PropMass].Local() || d.Properties[backup.PropMass].Value != a.rowMark(row) {
			continue
		}
		done := 0
		left := slices.ContainsFunc(w.cover.Datasets, func(c backup.Covered) bool {
			return c.Row == row && scope == PlanHourly && inScope(PlanNightly, c)
		})
		for _, p := range parts {
			if p.Row == row {
				done++
				left = left || !p.done
			}
		}
		if left || done == 0 {
			continue
		}
		if err := a.ZFS.SetProperties(ctx, row.Dataset, map[string]string{backup.PropMass: "used"}); err != nil {
			return fmt.Errorf("use up the acknowledgement on %s: %w", row.Dataset, err)
		}
	}
	return nil
}

// ErrNothingWaits means that no refusal of the row is one that an ack lifts.
var ErrNothingWaits = errors.New("nothing waits for an ack")

// AckRetention records the config's retention of a row as the operator's wish, and
// allows one mass destroy by it where one is refused. It is called by the command,
// never by a workflow. A second call is harmless. ErrNothingWaits where no refusal
// is one that an ack lifts, ErrNotConfigured where there is no such row.
func (a *Pools) AckRetention(ctx context.Context, dataset string) error {
	i := slices.IndexFunc(a.Policy.Rows, func(r backup.Row) bool { return r.Dataset == dataset })
	if i < 0 {
		return fmt.Errorf("%s has no row: %w", dataset, ErrNotConfigured)
	}
	row := &a.Policy.Rows[i]
	w, err := a.look(ctx)
	if err != nil {
		return err
	}
	if err := w.Failed[backup.PoolOf(dataset)]; err != nil {
		return err
	}
	mark := a.rowMark(row)
	acked, mass, err := a.waits(ctx, w, row)
	if acked || err != nil {
		return err
	}
	for _, c := range w.cover.Datasets {
		own := c.Dataset.Properties[backup.PropPolicy].Local()
		if c.Row == row && own && c.Dataset.Name != dataset {
			if err := a.ZFS.SetProperties(ctx, c.Dataset.Name, map[string]string{backup.PropPolicy: mark}); err != nil {
				return err
			}
		}
	}
	marks := map[string]string{backup.PropPolicy: mark}
	if mass {
		marks[backup.PropMass] = mark
	}
	return a.ZFS.SetProperties(ctx, dataset, marks)
}

// waits looks for what of a row waits for an ack: a mass destroy, or less kept.
// acked: the yes is there already, and the next prune makes use of it.
func (a *Pools) waits(ctx context.Context, w World, row *backup.Row) (acked, mass bool, err error) {
	changed := false
	other := backup.RefuseNone
	for _, c := range w.cover.Datasets {
		if c.Row != row || !Pruned(c) {
			continue
		}
		r := a.RetentionPlan(ctx, w, c).Refusal
		mass = mass || r == backup.RefuseMass
		changed = changed || r == backup.RefuseChanged
		if r != backup.RefuseNone && !AckLifts(r) {
			other = r
		}
		acked = acked || a.ackedMass(w, c)
	}
	switch {
	case mass || changed:
		return false, mass, nil
	case other != backup.RefuseNone:
		return false, false, fmt.Errorf("%s: %w; an ack does not lift this: %s", row.Dataset, ErrNothingWaits, other)
	case acked:
		return true, false, nil
	}
	return false, false, fmt.Errorf("%s: %w: prune refuses nothing there", row.Dataset, ErrNothingWaits)
}
