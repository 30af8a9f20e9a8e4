package zfstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// size of a stream, in the fake's own measure: what files differ.
func (h *Host) size(t backup.Transfer) int64 {
	var n int64
	to := h.snap(t.To.String())
	if to == nil {
		return 0
	}
	var base map[string]string
	if t.From != nil {
		if s := h.snap(t.From.String()); s != nil {
			base = s.files
		}
	}
	for name, content := range to.files {
		if base == nil || base[name] != content {
			n += int64(len(content)) + 1
		}
	}
	return n
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
		if src := h.datasets[to.Dataset]; src.Encrypted && !src.KeyLoaded && !t.Raw {
			return fmt.Errorf("%s: %w", t.To, backup.ErrKeyUnavailable)
		}
		if err := h.receivable(t, to); err != nil {
			return err
		}
		if h.cut > 0 && int64(h.cut) < h.size(t) {
			return h.cutShort(t, to)
		}
		if progress != nil {
			progress(h.size(t))
		}
		h.receive(t, to)
		return nil
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

// receivable says what zfs receive would complain of.
func (h *Host) receivable(t backup.Transfer, to *snapshot) error {
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
	if !maps.Equal(d.files, d.snaps[i].files) {
		return fmt.Errorf("%s: %w", t.Target, backup.ErrModified)
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
func (h *Host) made(t backup.Transfer) *dataset {
	if d := h.datasets[t.Target]; d != nil {
		return d
	}
	d := h.add(t.Target, t.Type)
	d.Mounted, d.ReadOnly = false, true
	d.receive["readonly"] = "on"
	if t.Raw {
		src := h.datasets[t.To.Dataset]
		d.Encrypted, d.KeyLoaded = src.Encrypted, !src.Encrypted
	}
	if t.Type == backup.Volume {
		d.receive["volmode"] = "none"
	} else {
		d.receive["canmount"] = "noauto"
	}
	for k, v := range t.Props {
		d.Properties[k] = backup.Property{Value: v, Source: "local"}
	}
	return d
}

func (h *Host) cutShort(t backup.Transfer, to *snapshot) error {
	isNew := h.datasets[t.Target] == nil
	token := backup.Token{ToName: to.String(), ToGUID: to.GUID, FromGUID: 0, Raw: t.Raw, Bytes: int64(h.cut)}
	if !isNew {
		token.FromGUID = h.base(t)
	}
	d := h.made(t)
	if d.partial == nil {
		d.partial = &partial{isNew: isNew}
	}
	d.partial.token = token
	h.cut = 0
	return fmt.Errorf("%s: %w", t.Target, backup.ErrIncomplete)
}

func (h *Host) receive(t backup.Transfer, to *snapshot) {
	d := h.made(t)
	d.partial = nil
	// Already there: ignored, and zfs receive says 0.
	if slices.ContainsFunc(d.snaps, func(s *snapshot) bool { return s.GUID == to.GUID }) {
		return
	}
	h.txg++
	s := &snapshot{SnapshotFacts: to.SnapshotFacts, files: maps.Clone(to.files), holds: map[string]time.Time{}}
	s.Dataset, s.CreateTXG, s.Clones, s.Mounted = t.Target, h.txg, nil, false
	d.snaps = append(d.snaps, s)
	d.files = maps.Clone(to.files)
}

// AbortReceive discards a partial receive.
func (h *Host) AbortReceive(ctx context.Context, target string) error {
	return h.change(ctx, "abort "+target, func() error {
		d := h.datasets[target]
		if d == nil || d.partial == nil {
			return nil
		}
		if d.partial.isNew {
			delete(h.datasets, target)
		}
		d.partial = nil
		return nil
	})
}
