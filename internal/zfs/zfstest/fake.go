// Package zfstest keeps pools in memory that behave as OpenZFS does, and the
// contract that says what that means. The contract runs on the fake in every test
// run, and on real OpenZFS in the lab: a fake without it would be a lie.
package zfstest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"triplicate/internal/backup"
)

// Host is a machine with pools. Its methods are those of activities.ZFS; the
// others set the scene. It may be used by several goroutines.
type Host struct {
	mu       sync.Mutex
	dir      string // where the filesystems are
	now      func() time.Time
	txg      uint64
	guid     backup.GUID
	datasets map[string]*dataset
	calls    []string
	failAt   int
	failErr  error
	failLate bool
	cut      int // bytes after which the next transfer is cut; 0: not
}

type dataset struct {
	backup.Dataset
	files   map[string]string
	snaps   []*snapshot
	marks   []backup.Bookmark
	receive map[string]string // properties set by receive
	partial *partial
}

type snapshot struct {
	backup.SnapshotFacts
	files map[string]string
	holds map[string]time.Time
	local map[string]string
	users int // of a mount
}

// partial is what a cut receive leaves.
type partial struct {
	token backup.Token
	isNew bool
}

// New makes a host with pools of these names, in a folder that goes when the test
// ends.
func New(t testing.TB, pools ...string) *Host {
	h := &Host{dir: t.TempDir(), now: time.Now, guid: 1000, datasets: map[string]*dataset{}}
	for _, p := range pools {
		h.MkDataset(p)
	}
	return h
}

// SetNow gives the host a clock.
func (h *Host) SetNow(now func() time.Time) { h.now = now }

// MkDataset makes a mounted filesystem; its parents must be there.
func (h *Host) MkDataset(name string) { h.make(name, backup.Filesystem) }

// MkVolume makes a volume.
func (h *Host) MkVolume(name string) { h.make(name, backup.Volume) }

func (h *Host) make(name string, kind backup.DatasetType) *dataset {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.add(name, kind)
}

func (h *Host) add(name string, kind backup.DatasetType) *dataset {
	h.txg++
	h.guid++
	d := &dataset{files: map[string]string{}, receive: map[string]string{}}
	d.Dataset = backup.Dataset{
		Name: name, Type: kind, GUID: h.guid, CreateTXG: h.txg, KeyLoaded: true,
		Mounted: kind == backup.Filesystem, Properties: map[string]backup.Property{},
	}
	h.datasets[name] = d
	return d
}

// WriteFile writes into a filesystem's live state.
func (h *Host) WriteFile(dataset, name, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.datasets[dataset].files[name] = content
}

// Files is what a snapshot (dataset@name) holds; nil if it is not there.
func (h *Host) Files(name string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.snap(name); s != nil {
		return maps.Clone(s.files)
	}
	return nil
}

// ReceiveProperties are the properties that the receive which made a dataset set.
func (h *Host) ReceiveProperties(dataset string) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.datasets[dataset].receive)
}

// Destroy removes a dataset and all below it, or a snapshot or bookmark, as an
// operator might.
func (h *Host) Destroy(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ds, snap, isSnap := strings.Cut(name, "@")
	if isSnap {
		d := h.datasets[ds]
		d.snaps = slices.DeleteFunc(d.snaps, func(s *snapshot) bool { return s.Name == snap })
		return
	}
	maps.DeleteFunc(h.datasets, func(n string, _ *dataset) bool { return backup.Under(n, name) })
}

// MkEncrypted makes an encrypted filesystem with its key loaded.
func (h *Host) MkEncrypted(name string) { h.make(name, backup.Filesystem).Encrypted = true }

// UnloadKey takes an encrypted filesystem's key away.
func (h *Host) UnloadKey(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.datasets[name].KeyLoaded, h.datasets[name].Mounted = false, false
}

// Mount mounts a snapshot until the returned function is called.
func (h *Host) Mount(snapshot string) (unmount func()) {
	set := func(mounted bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.snap(snapshot).Mounted = mounted
	}
	set(true)
	return func() { set(false) }
}

// FailCall makes the n-th changing call from now fail with err: late, after it has
// acted, as when the caller is killed before it hears; else before.
func (h *Host) FailCall(n int, late bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failAt, h.failLate, h.failErr = len(h.calls)+n, late, err
}

// CutAfter cuts the next transfer after so many bytes.
func (h *Host) CutAfter(bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = bytes
}

// Calls lists the changing calls so far.
func (h *Host) Calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// change runs a changing call under the lock, with the fault that is set.
func (h *Host) change(ctx context.Context, call string, act func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	h.calls = append(h.calls, call)
	hit := h.failErr != nil && len(h.calls) == h.failAt
	if hit && !h.failLate {
		return h.failErr
	}
	err := act()
	if hit {
		return h.failErr
	}
	return err
}

func (h *Host) snap(name string) *snapshot {
	ds, sn, _ := strings.Cut(name, "@")
	d := h.datasets[ds]
	if d == nil {
		return nil
	}
	for _, s := range d.snaps {
		if s.Name == sn {
			return s
		}
	}
	return nil
}

func missing(name string) error { return fmt.Errorf("%s: dataset %w", name, backup.ErrNotFound) }

// sorted lists the datasets below the roots, parents first.
func (h *Host) sorted(roots []string) []*dataset {
	var out []*dataset
	for _, name := range slices.Sorted(maps.Keys(h.datasets)) {
		if len(roots) == 0 || slices.ContainsFunc(roots, func(r string) bool { return backup.Under(name, r) }) {
			out = append(out, h.datasets[name])
		}
	}
	return out
}
