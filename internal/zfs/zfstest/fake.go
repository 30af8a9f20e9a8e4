// Package zfstest keeps pools that behave as OpenZFS does, filesystems as folders
// and snapshots as copies of them, and the contract that says what that means.
// The contract runs on the fake in every test run, and on real OpenZFS in the
// lab: a fake without it would be a lie.
package zfstest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"triplicate/internal/backup"
)

// Host is a machine with pools. Its methods are those of activities.ZFS; the
// others set the scene, and fail the test if they cannot. It may be used by
// several goroutines.
type Host struct {
	t        TB
	dir      string // of all trees
	mu       sync.Mutex
	now      func() time.Time
	txg      uint64
	guid     backup.GUID
	pools    map[string]*backup.Pool
	datasets map[string]*dataset
	calls    []string
	failAt   int
	failErr  error
	failLate bool
	cut      int // bytes after which the next transfer is cut; 0: not
}

type dataset struct {
	backup.Dataset
	tree    string // folder of its files
	snaps   []*snapshot
	marks   []mark
	native  map[string]string // ZFS's own properties that were set
	quota   int64             // bytes of it and all below; 0: none
	partial *partial
}

type snapshot struct {
	backup.SnapshotFacts
	tree  string
	holds map[string]time.Time
	local map[string]string
	mounts
}

// mark keeps the tree of its snapshot, to know what was written since.
type mark struct {
	backup.Bookmark
	tree string
}

// partial is what a cut receive leaves.
type partial struct {
	token backup.Token
	isNew bool
}

// TB is what a host needs of the test that sets its scene, or of a demo.
type TB interface {
	Helper()
	Error(args ...any)
	Fatal(args ...any)
	TempDir() string
}

// New makes a host with pools of these names. Its folders go when the test ends.
func New(t TB, pools ...string) *Host {
	h := &Host{
		t: t, dir: t.TempDir(), now: time.Now, guid: 1000,
		pools: map[string]*backup.Pool{}, datasets: map[string]*dataset{},
	}
	for _, p := range pools {
		h.MkPool(p)
	}
	return h
}

// MkPool makes one more pool.
func (h *Host) MkPool(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools[name] = &backup.Pool{Name: name, Health: "ONLINE", Size: 1 << 32, Free: 1 << 31}
	h.must(h.add(name, backup.Filesystem))
}

// SetNow gives the host a clock.
func (h *Host) SetNow(now func() time.Time) { h.now = now }

// MkDataset makes a mounted filesystem; its parents must be there.
func (h *Host) MkDataset(name string) { h.make(name, backup.Filesystem) }

// MkVolume makes a volume.
func (h *Host) MkVolume(name string) { h.make(name, backup.Volume) }

// MkEncrypted makes an encrypted filesystem with its key loaded.
func (h *Host) MkEncrypted(name string) { h.make(name, backup.Filesystem).Encrypted = true }

func (h *Host) make(name string, kind backup.DatasetType) *dataset {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.must(h.add(name, kind))
}

func (h *Host) must(d *dataset, err error) *dataset {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *Host) add(name string, kind backup.DatasetType) (*dataset, error) {
	h.txg++
	h.guid++
	d := &dataset{native: map[string]string{}, tree: h.newTree(h.guid)}
	d.Dataset = backup.Dataset{
		Name: name, Type: kind, GUID: h.guid, CreateTXG: h.txg, KeyLoaded: true,
		Mounted: kind == backup.Filesystem, Properties: map[string]backup.Property{},
	}
	h.datasets[name] = d
	return d, os.Mkdir(d.tree, 0o755)
}

// newTree names a folder for an object's files.
func (h *Host) newTree(guid backup.GUID) string { return free(filepath.Join(h.dir, guid.String())) }

// free numbers a name that is taken: a replica's snapshot has its source's GUID.
func free(name string) string {
	for n, try := 2, name; ; n++ {
		if _, err := os.Lstat(try); err != nil {
			return try
		}
		try = name + "." + strconv.Itoa(n)
	}
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

// Calls lists the changing calls so far; a mount changes something too.
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

// readable says whether the pool answers; writable, whether it can be changed.
func (h *Host) readable(names ...string) error {
	for _, n := range names {
		if p := h.pools[backup.PoolOf(n)]; p != nil && p.Health == suspended {
			return fmt.Errorf("%s: %w", n, backup.ErrSuspended)
		}
	}
	return nil
}

func (h *Host) writable(names ...string) error {
	for _, n := range names {
		if p := h.pools[backup.PoolOf(n)]; p != nil && p.ReadOnly {
			return fmt.Errorf("%s: %w", n, backup.ErrReadOnlyPool)
		}
	}
	return h.readable(names...)
}

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
