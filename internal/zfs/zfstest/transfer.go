package zfstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// size of a stream: what it brings, and its own head and tail.
func (h *Host) size(t backup.Transfer) int64 {
	to := h.snap(t.To.String())
	if to == nil {
		return 0
	}
	base := ""
	if from, d := h.base(t), h.datasets[to.Dataset]; from != 0 {
		for _, s := range d.snaps {
			if s.GUID == from {
				base = s.tree
			}
		}
		for _, m := range d.marks {
			if m.GUID == from {
				base = m.tree
			}
		}
	}
	n, err := newer(base, to.tree)
	if err != nil {
		h.t.Error(err)
	}
	return n + 2*record
}

// Estimate is the stream's size.
func (h *Host) Estimate(_ context.Context, t backup.Transfer) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snap(t.To.String()) == nil {
		return 0, missing(t.To.String())
	}
	return h.size(t), nil
}

// Transfer sends and receives.
func (h *Host) Transfer(ctx context.Context, t backup.Transfer, progress func(int64)) error {
	return h.change(ctx, "transfer "+t.To.String()+" "+t.Target, func() error {
		to := h.snap(t.To.String())
		if to == nil {
			return missing(t.To.String())
		}
		if err := h.readable(t.To.Dataset); err != nil {
			return err
		}
		if src := h.datasets[to.Dataset]; src.Encrypted && !src.KeyLoaded && !t.Raw {
			return fmt.Errorf("%s: %w", t.To, backup.ErrKeyUnavailable)
		}
		if err := h.receivable(t, to); err != nil {
			return err
		}
		size := h.size(t)
		if h.overQuota(t.Target, size) {
			return h.cutShort(t, to, size/2, backup.ErrNoSpace)
		}
		if cut := int64(h.cut); cut > 0 && cut < size {
			h.cut = 0
			return h.cutShort(t, to, cut, backup.ErrIncomplete)
		}
		if progress != nil {
			progress(size)
		}
		return h.receive(t, to)
	})
}

// base is the GUID that the stream starts from; 0 for a full one.
func (h *Host) base(t backup.Transfer) backup.GUID {
	switch {
	case t.Token != "":
		return h.datasets[t.Target].partial.token.FromGUID
	case t.From != nil:
		return t.From.GUID
	case t.FromMark != nil:
		return t.FromMark.GUID
	}
	return 0
}

// overQuota says whether so many more bytes are too many for the target or a
// parent of it.
func (h *Host) overQuota(target string, size int64) bool {
	for name, d := range h.datasets {
		if d.quota == 0 || !backup.Under(target, name) {
			continue
		}
		used := size
		for _, child := range h.sorted([]string{name}) {
			n, err := newer("", child.tree)
			if err != nil {
				h.t.Error(err)
			}
			used += n
		}
		if used > d.quota {
			return true
		}
	}
	return false
}

// receivable says what zfs receive would complain of.
func (h *Host) receivable(t backup.Transfer, to *snapshot) error {
	if err := h.writable(t.Target); err != nil {
		return err
	}
	d := h.datasets[t.Target]
	if t.Token != "" {
		if d == nil || d.partial == nil || d.partial.token.ToGUID != to.GUID {
			return fmt.Errorf("%s: %w", t.Target, backup.ErrStaleToken)
		}
		return nil
	}
	if d != nil && d.partial != nil && !(d.partial.isNew && h.base(t) == 0) {
		return fmt.Errorf("%s: %w", t.Target, backup.ErrPartial)
	}
	base := h.base(t)
	switch {
	case d == nil && base != 0:
		return missing(t.Target)
	case d == nil:
		if h.datasets[parent(t.Target)] == nil {
			return missing(parent(t.Target))
		}
		return nil
	case base == 0:
		return fmt.Errorf("%s: %w", t.Target, backup.ErrExists)
	}
	i := slices.IndexFunc(d.snaps, func(s *snapshot) bool { return s.GUID == base })
	if i < 0 {
		return fmt.Errorf("%s: %w", t.Target, backup.ErrDiverged)
	}
	if n, err := newer(d.snaps[i].tree, d.tree); err != nil || n > 0 {
		return fmt.Errorf("%s: %w", t.Target, errors.Join(backup.ErrModified, err))
	}
	return nil
}

func parent(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return name
}

// made is the target, made anew as a receive makes it.
func (h *Host) made(t backup.Transfer) (*dataset, error) {
	if d := h.datasets[t.Target]; d != nil {
		return d, nil
	}
	d, err := h.add(t.Target, t.Type)
	if err != nil {
		return nil, err
	}
	d.Mounted = false
	if t.Raw {
		src := h.datasets[t.To.Dataset]
		d.Encrypted, d.KeyLoaded = src.Encrypted, !src.Encrypted
	}
	props := map[string]string{"readonly": "on", "canmount": "noauto", "setuid": "off", "exec": "off", "devices": "off"}
	if t.Type == backup.Volume {
		props = map[string]string{"readonly": "on", "volmode": "none", "snapdev": "hidden", "refreservation": "0"}
	}
	for k, v := range props {
		if err := h.setNative(d, k, v); err != nil {
			return nil, err
		}
	}
	for k, v := range t.Props {
		d.Properties[k] = backup.Property{Value: v, Source: "local"}
	}
	return d, nil
}

// cutShort keeps what arrived before why.
func (h *Host) cutShort(t backup.Transfer, to *snapshot, arrived int64, why error) error {
	isNew := h.datasets[t.Target] == nil
	token := backup.Token{ToName: to.String(), ToGUID: to.GUID, FromGUID: 0, Raw: t.Raw, Bytes: arrived}
	if !isNew {
		token.FromGUID = h.base(t)
	}
	d, err := h.made(t)
	if err != nil {
		return err
	}
	if d.partial == nil {
		d.partial = &partial{isNew: isNew}
	}
	d.partial.token = token
	return fmt.Errorf("%s: %w", t.Target, why)
}

func (h *Host) receive(t backup.Transfer, to *snapshot) error {
	d, err := h.made(t)
	if err != nil {
		return err
	}
	d.partial = nil
	// Already there: ignored, and zfs receive says 0.
	if slices.ContainsFunc(d.snaps, func(s *snapshot) bool { return s.GUID == to.GUID }) {
		return nil
	}
	h.txg++
	s := &snapshot{SnapshotFacts: to.SnapshotFacts, tree: h.newTree(to.GUID), holds: map[string]time.Time{}}
	s.Dataset, s.CreateTXG = t.Target, h.txg
	d.snaps = append(d.snaps, s)
	if err := copyTree(to.tree, s.tree); err != nil {
		return err
	}
	return h.fill(d, to.tree)
}

// AbortReceive discards a partial receive.
func (h *Host) AbortReceive(ctx context.Context, target string) error {
	return h.change(ctx, "abort "+target, func() error {
		d := h.datasets[target]
		if d == nil || d.partial == nil {
			return nil
		}
		if err := h.writable(target); err != nil {
			return err
		}
		if d.partial.isNew {
			delete(h.datasets, target)
			if err := os.RemoveAll(d.tree); err != nil {
				return err
			}
		}
		d.partial = nil
		return nil
	})
}
