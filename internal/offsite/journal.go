package offsite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The journal is made durable after so many records or so much time. A kill loses
// none (each is one write to the kernel); a power cut loses these, and the objects
// are found again by listing.
const (
	syncRecords = 1000
	syncEvery   = time.Second
)

// record is a line of the journal: the list it is about (the first line), an upload
// in parts that was begun, or an object that was put.
type record struct {
	Work string `json:"work,omitempty"`

	N      int    `json:"n"` // number of the task
	Key    string `json:"key,omitempty"`
	Upload string `json:"upload,omitempty"` // ID of a multipart upload
	Part   int64  `json:"part,omitempty"`   // size of its parts

	Done    bool   `json:"done,omitempty"`
	Version string `json:"version,omitempty"`
	CRC64   string `json:"crc64,omitempty"`
}

// failedRow marks a task whose file could not be read, in this process only: the
// next one tries again.
const failedRow = -1

// journal remembers what a commit has put. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	f       *os.File
	size    int64
	at      []int64        // for each task: 1 + offset of its done record, 0, or failedRow
	uploads map[int]record // multipart uploads that were begun and not completed
	failed  int
	found   bool // it was there before: objects may exist that it does not tell of
	now     func() time.Time
	synced  time.Time
	pending int
}

// openJournal goes on with the journal of the note's list, or begins it. Then stale
// are uploads of another list, which nobody will complete.
func openJournal(dir string, n *note, now func() time.Time) (j *journal, stale []record, err error) {
	j = &journal{at: make([]int64, n.Rows), uploads: map[int]record{}, now: now, synced: now()}
	name := filepath.Join(dir, journalFile)
	if j.f, err = os.OpenFile(name, os.O_RDWR, 0o600); err == nil {
		j.found = true
		mine, err := j.load(n.Survey.Work)
		if err == nil && mine {
			return j, nil, nil
		}
		_ = j.f.Close()
		if err != nil {
			return nil, nil, err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, r := range j.uploads {
		stale = append(stale, r)
	}
	j.at, j.uploads = make([]int64, n.Rows), map[int]record{}
	head, err := json.Marshal(record{Work: n.Survey.Work})
	if err != nil {
		return nil, nil, err
	}
	err = replace(name, func(w io.Writer) error { _, err := w.Write(append(head, '\n')); return err })
	if err != nil {
		return nil, nil, err
	}
	if j.f, err = os.OpenFile(name, os.O_RDWR, 0o600); err != nil {
		return nil, nil, err
	}
	j.size, err = j.f.Seek(0, io.SeekEnd)
	return j, stale, err
}

// load reads the records. What follows the last good line, a write that was cut off,
// is cut away.
func (j *journal) load(work string) (mine bool, err error) {
	s := bufio.NewScanner(j.f)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	s.Split(wholeLines)
	for first := true; s.Scan(); first = false {
		var r record
		if json.Unmarshal(s.Bytes(), &r) != nil {
			break
		}
		if first {
			mine = r.Work == work
		} else {
			j.note(r, mine)
		}
		j.size += int64(len(s.Bytes()))
	}
	if err := s.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, bufio.ErrTooLong) {
		return false, err
	}
	if !mine {
		return false, nil
	}
	if err := j.f.Truncate(j.size); err != nil {
		return false, ioError(err)
	}
	_, err = j.f.Seek(j.size, io.SeekStart)
	return true, err
}

func (j *journal) note(r record, mine bool) {
	switch {
	case r.Upload != "" && r.Part > 0:
		j.uploads[r.N] = r
	case r.Done:
		delete(j.uploads, r.N)
		if mine && r.N >= 0 && r.N < len(j.at) {
			j.at[r.N] = 1 + j.size
		}
	}
}

func (j *journal) add(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal: %w", ioError(err))
	}
	j.note(r, true)
	j.size += int64(len(line)) + 1
	if j.pending++; j.pending >= syncRecords || j.now().Sub(j.synced) >= syncEvery {
		return j.sync()
	}
	return nil
}

// sync makes the records durable; the caller has the lock.
func (j *journal) sync() error {
	j.pending, j.synced = 0, j.now()
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("journal: %w", ioError(err))
	}
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.sync(), j.f.Close())
}

// isDone says whether a task's object was put.
func (j *journal) isDone(n int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at[n] > 0
}

// fail marks a task whose file could not be read.
func (j *journal) fail(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at[n] = failedRow
	j.failed++
}

// upload is the multipart upload that was begun for a task.
func (j *journal) upload(n int) (record, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, ok := j.uploads[n]
	return r, ok
}

// result reads back what was put for a task; false if its file could not be read.
// It is on disk, not in memory: a first upload has millions.
func (j *journal) result(n int) (r record, ok bool, err error) {
	j.mu.Lock()
	at := j.at[n]
	j.mu.Unlock()
	if at == failedRow {
		return r, false, nil
	}
	if at == 0 {
		return r, false, fmt.Errorf("journal: task %d was not done", n)
	}
	buf := make([]byte, 4096)
	k, err := j.f.ReadAt(buf, at-1)
	if err != nil && !errors.Is(err, io.EOF) {
		return r, false, err
	}
	line, _, whole := bytes.Cut(buf[:k], []byte("\n"))
	if !whole {
		return r, false, fmt.Errorf("journal: record at %d is cut", at-1)
	}
	err = json.Unmarshal(line, &r)
	return r, true, err
}
