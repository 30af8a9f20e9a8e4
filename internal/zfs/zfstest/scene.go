package zfstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"triplicate/internal/backup"
)

// fatal fails the test; the lock must be held.
func (h *Host) fatal(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// WriteFile writes a file of a filesystem, and the folders over it, at the host's
// time. A replica is written to as well: an operator could.
func (h *Host) WriteFile(dataset, name, content string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fatal(h.write(h.datasets[dataset].tree, name, content))
}

func (h *Host) write(tree, name, content string) error {
	file := filepath.Join(tree, name)
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	parent, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	at := h.now()
	if old, err := os.Lstat(file); err != nil {
		// A new name in the folder.
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(dir, time.Time{}, at); err != nil {
			return err
		}
	} else {
		if old.ModTime().Equal(at) {
			at = at.Add(time.Nanosecond) // the clock stands still, the file does not
		}
		if err := replace(file, []byte(content), old); err != nil {
			return err
		}
		if err := dress(dir, parent); err != nil {
			return err
		}
	}
	return os.Chtimes(file, time.Time{}, at)
}

// Edit lets a test change a filesystem's folder as any program might, with modes,
// times and links. change must not call the host.
func (h *Host) Edit(dataset string, change func(dir string)) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	tree := h.datasets[dataset].tree
	h.fatal(unlink(tree))
	change(tree)
}

// Files is what a snapshot (dataset@name) holds: the content of its regular
// files. It is nil if the snapshot is not there.
func (h *Host) Files(name string) map[string]string {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.snap(name)
	if s == nil {
		return nil
	}
	files := map[string]string{}
	h.fatal(filepath.WalkDir(s.tree, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(s.tree, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[rel] = string(data)
		return err
	}))
	return files
}

// Property is a property and where it comes from, as zfs get tells it: one of the
// user's, or one of ZFS's own that was set.
func (h *Host) Property(dataset, name string) backup.Property {
	h.mu.Lock()
	defer h.mu.Unlock()
	if strings.Contains(name, ":") {
		if p, ok := h.inherited(h.datasets[dataset])[name]; ok {
			return p
		}
		return backup.Property{Value: "-", Source: "-"}
	}
	if v, ok := h.datasets[dataset].native[name]; ok {
		return backup.Property{Value: v, Source: "local"}
	}
	return backup.Property{Source: "default"}
}

// SetProperty sets one of ZFS's own properties. Of these quota is heeded, on a
// receive, and readonly shows.
func (h *Host) SetProperty(dataset, name, value string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fatal(h.setNative(h.datasets[dataset], name, value))
}

// Clone makes a filesystem from a snapshot.
func (h *Host) Clone(snapshot, dataset string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.must(h.add(dataset, backup.Filesystem))
	d.Origin = snapshot
	h.fatal(h.fill(d, h.snap(snapshot).tree))
}

// Destroy removes a dataset and all below it, a pool's root with the pool, or a
// snapshot, as an operator might.
func (h *Host) Destroy(name string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if ds, snap, isSnap := strings.Cut(name, "@"); isSnap {
		h.fatal(h.destroy(h.datasets[ds], []string{snap}))
		return
	}
	delete(h.pools, name)
	for n, d := range h.datasets {
		if !backup.Under(n, name) {
			continue
		}
		var all []string
		for _, s := range d.snaps {
			all = append(all, s.Name)
		}
		d.marks = nil
		h.fatal(h.destroy(d, all))
		h.fatal(os.RemoveAll(d.tree))
		delete(h.datasets, n)
	}
}

// UnloadKey takes an encrypted filesystem's key away.
func (h *Host) UnloadKey(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.datasets[name].KeyLoaded, h.datasets[name].Mounted = false, false
}

// DotZFS says whether .zfs/snapshot shows a snapshot: only while its filesystem
// is mounted.
func (h *Host) DotZFS(snapshot string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.snap(snapshot)
	return s != nil && h.datasets[s.Dataset].Mounted
}

// suspended is the health of a pool that lost its devices.
const suspended = "SUSPENDED"

// ReadOnly imports a pool anew, read-only.
func (h *Host) ReadOnly(pool string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools[pool].ReadOnly = true
}

// Suspend takes a pool's devices away until the returned function is called.
func (h *Host) Suspend(pool string) (revive func()) {
	set := func(health string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.pools[pool].Health = health
	}
	set(suspended)
	return func() { set("ONLINE") }
}

// fill makes a dataset's files those of a tree.
func (h *Host) fill(d *dataset, tree string) error {
	if err := os.RemoveAll(d.tree); err != nil {
		return err
	}
	return copyTree(tree, d.tree)
}

// destroy removes snapshots of a dataset. A tree stays while a bookmark needs it.
func (h *Host) destroy(d *dataset, names []string) error {
	if d == nil {
		return nil
	}
	for _, name := range names {
		i := slices.IndexFunc(d.snaps, func(s *snapshot) bool { return s.Name == name })
		if i < 0 {
			continue
		}
		tree := d.snaps[i].tree
		d.snaps = slices.Delete(d.snaps, i, i+1)
		if !slices.ContainsFunc(d.marks, func(m mark) bool { return m.tree == tree }) {
			if err := os.RemoveAll(tree); err != nil {
				return err
			}
		}
	}
	return nil
}
