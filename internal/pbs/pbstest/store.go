package pbstest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"triplicate/internal/backup"
)

// owner is who owns what Proxmox VE backs up: the token in its storage entry.
const owner = "pve@pbs!backup"

var groupForm = regexp.MustCompile(`^(vm|ct|host)/[A-Za-z0-9_][A-Za-z0-9._\-]*$`)

// datastore is the state of one. Its chunks are of all its namespaces.
type datastore struct {
	Datastore
	snaps   []*snapshot
	chunks  map[digest]*chunk
	disks   map[string][]int // the versions of each group's blocks
	mode    string           // of maintenance; empty: none
	message string
	full    bool
	gc      gcStatus
}

// snapshot is a backup, finished or not.
type snapshot struct {
	backup.GuestBackup
	ns       string
	chunks   []digest
	damaged  bool
	writer   *task       // while it is being written
	verified backup.UPID // of the task that did
	checked  time.Time   // when that task started
}

// Store is one namespace of a datastore: the door through which a simulated
// Proxmox VE puts backups, and tests set the scene.
type Store struct {
	server *Server
	data   *datastore
	ns     string
}

// Namespace is another namespace of the same datastore; empty: the root.
func (st *Store) Namespace(ns string) *Store { return &Store{st.server, st.data, ns} }

// use locks the server for the time of a call.
func (st *Store) use() (done func()) {
	st.server.mu.Lock()
	st.server.settle()
	return st.server.mu.Unlock
}

// Begin starts a backup: it is listed without its manifest, counts as a writer and
// has a running task, until Save or Abort. It fails with the server's own words
// when the server is down, the datastore is in maintenance or full, the group is
// being backed up, or has a newer backup.
func (st *Store) Begin(group string, at time.Time) error {
	defer st.use()()
	d, at := st.data, at.UTC().Truncate(time.Second)
	if st.server.down {
		return errDown
	}
	if err := d.maintained(true); err != nil {
		return err
	}
	if !groupForm.MatchString(group) {
		return bad("unable to parse backup group '%s'", group)
	}
	for _, b := range d.snaps {
		if b.ns != st.ns || b.Group != group {
			continue
		}
		if b.writer.alive() {
			return bad("unable to acquire backup group lock - possible running backup, group is in use")
		}
		if b.Finished && !at.After(b.Time) {
			return bad("backup timestamp is older than last backup.")
		}
		if at.Equal(b.Time) {
			return bad("backup directory already exists.")
		}
	}
	if d.noSpace() {
		return errNoSpace
	}
	b := &snapshot{GuestBackup: backup.GuestBackup{Group: group, Time: at, Owner: owner}, ns: st.ns}
	err := d.beginFiles(b)
	if err == nil {
		err = d.upload(b, st.server.now())
	}
	if err != nil {
		return err
	}
	t := st.server.start("backup", d.Name+":"+group, owner)
	t.open = true
	t.abort = func(*task) { d.remove(b) }
	t.say(t.started, "starting new backup on datastore '%s' from 192.0.2.10: \"%s\"", d.Name, b.ID())
	b.writer = t
	d.snaps = append(d.snaps, b)
	return nil
}

// Save ends a backup that was begun: from now on it has its manifest. Of b, Notes,
// Protected and Verified are taken over, and Size unless it is zero.
func (st *Store) Save(b backup.GuestBackup) error {
	defer st.use()()
	d := st.data
	s := d.find(st.ns, b.Group, b.Time)
	switch {
	case st.server.down:
		return errDown
	case s == nil || !s.writer.alive():
		return fmt.Errorf("backup %s is not running: connection closed", b.ID())
	}
	err := errNoSpace
	if !d.noSpace() {
		s.GuestBackup = backup.GuestBackup{
			Group: s.Group, Time: s.Time, Owner: cmp.Or(b.Owner, s.Owner), Notes: b.Notes, Protected: b.Protected,
			Verified: b.Verified, Size: cmp.Or(b.Size, d.sizeOf(s)), Finished: true,
		}
		err = d.writeBackup(s)
	}
	if err != nil {
		s.writer.say(st.server.now(), "backup failed: %s", err)
		s.writer.say(st.server.now(), "removing failed backup")
		s.writer.end(st.server.now(), err.Error())
		d.remove(s)
		return err
	}
	s.writer.say(st.server.now(), "backup finished successfully")
	s.writer.end(st.server.now(), "OK")
	s.writer = nil
	return nil
}

// Abort breaks off a backup that was begun: its task fails and its folder goes, as
// when a client's connection breaks. One that is not running is left as it is.
func (st *Store) Abort(group string, at time.Time) {
	defer st.use()()
	s := st.data.find(st.ns, group, at)
	if s == nil || !s.writer.alive() {
		return
	}
	s.writer.say(st.server.now(), "backup ended and finish failed: backup ended but finished flag is not set.")
	s.writer.say(st.server.now(), "removing unfinished backup")
	s.writer.end(st.server.now(), "backup ended but finished flag is not set.")
	st.data.remove(s)
}

// Add puts a backup of the past: no task, no checks. Finished false leaves it
// without its manifest, as a crash does.
func (st *Store) Add(b backup.GuestBackup) error {
	defer st.use()()
	d := st.data
	b.Time = b.Time.UTC().Truncate(time.Second)
	b.Owner = cmp.Or(b.Owner, owner)
	s := &snapshot{GuestBackup: b, ns: st.ns}
	err := d.beginFiles(s)
	if err == nil {
		err = d.upload(s, b.Time)
	}
	if err != nil {
		return err
	}
	if s.Finished {
		s.Size = cmp.Or(b.Size, d.sizeOf(s))
		if err := d.writeBackup(s); err != nil {
			return err
		}
	}
	d.snaps = append(d.snaps, s)
	return nil
}

// Backups lists the namespace's backups, oldest first.
func (st *Store) Backups() []backup.GuestBackup {
	defer st.use()()
	var out []backup.GuestBackup
	for _, s := range st.data.snaps {
		if s.ns == st.ns {
			out = append(out, s.GuestBackup)
		}
	}
	slices.SortStableFunc(out, func(a, b backup.GuestBackup) int { return a.Time.Compare(b.Time) })
	return out
}

// Damage breaks a backup, so that verify finds it bad.
func (st *Store) Damage(group string, at time.Time) {
	defer st.use()()
	if s := st.data.find(st.ns, group, at); s != nil {
		s.damaged = true
		st.data.damage(s)
	}
}

// SetMaintenance sets the maintenance mode, read-only or offline, with its message;
// empty ends it. What is being written may go on.
func (st *Store) SetMaintenance(mode, message string) {
	defer st.use()()
	st.data.mode, st.data.message = mode, message
}

// SetFull fills the datastore up, or makes room again.
func (st *Store) SetFull(full bool) {
	defer st.use()()
	st.data.full = full
}

// errNoSpace is the operating system's word, which the server passes on.
var errNoSpace = fmt.Errorf("unable to write file: No space left on device (os error 28): %w", backup.ErrNoSpace)

// maintained is the refusal of a datastore in maintenance.
func (d *datastore) maintained(write bool) error {
	switch {
	case d.mode == "offline":
		return bad("offline maintenance mode: %s", d.message)
	case d.mode == "read-only" && write:
		return bad("read-only maintenance mode: %s", d.message)
	}
	return nil
}

func (d *datastore) find(ns, group string, at time.Time) *snapshot {
	for _, s := range d.snaps {
		if s.ns == ns && s.Group == group && s.Time.Unix() == at.Unix() {
			return s
		}
	}
	return nil
}

// remove takes a backup off the list and its folder off the disk. Its chunks stay
// until garbage collection.
func (d *datastore) remove(s *snapshot) {
	d.snaps = slices.DeleteFunc(d.snaps, func(o *snapshot) bool { return o == s })
	d.removeFiles(s)
}

// writers counts the backups that are being written.
func (d *datastore) writers() int {
	n := 0
	for _, s := range d.snaps {
		if s.writer.alive() {
			n++
		}
	}
	return n
}

func (t *task) alive() bool { return t != nil && t.running() }
