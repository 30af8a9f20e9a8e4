package offsite

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// note is what is remembered of a survey: for which job and against which manifest
// the work list was made. It is written after the list, so that the list of a note
// is complete.
type note struct {
	Dataset  string        `json:"dataset"`
	GUID     backup.GUID   `json:"datasetGuid"`
	Snapshot string        `json:"snapshot"`
	Point    backup.GUID   `json:"guid"`
	Stamp    backup.Stamp  `json:"stamp"`
	Before   string        `json:"before,omitempty"` // key of the last manifest
	Created  time.Time     `json:"created"`
	Rows     int           `json:"rows"`
	CRC64    string        `json:"crc64"` // of the list
	Survey   backup.Survey `json:"survey"`
}

// of says whether the note is of this job, against the manifest before.
func (n *note) of(job backup.OffsiteJob, before string) bool {
	return n != nil && n.Dataset == job.Dataset.Name && n.GUID == job.Dataset.GUID &&
		n.Point == job.Snapshot.GUID && n.Stamp == job.Stamp && n.Before == before
}

// keyOf is the key of the manifest that the note's commit ends with.
func (v *Vault) keyOf(n *note) string {
	seq := 1
	if n.Survey.Before != nil {
		seq = n.Survey.Before.Seq + 1
	}
	return backup.ManifestKey(v.Prefix, n.Dataset, seq, n.Stamp, n.Point)
}

// readNote is nil if there is none that can be read: it is made again.
func readNote(dir string) (*note, error) {
	b, err := os.ReadFile(filepath.Join(dir, noteFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n := new(note)
	if json.Unmarshal(b, n) != nil {
		return nil, nil
	}
	return n, nil
}

func writeNote(dir string, n *note) error {
	return replace(filepath.Join(dir, noteFile), func(w io.Writer) error {
		b, err := json.Marshal(n)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
}

// workWriter writes the work list: one task a line.
type workWriter struct {
	w    *bufio.Writer
	sum  hash.Hash64
	rows int
}

func newWorkWriter(w io.Writer) *workWriter {
	return &workWriter{w: bufio.NewWriterSize(w, 64<<10), sum: crc64nvme.New()}
}

func (w *workWriter) add(t task) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if len(b) >= maxLine {
		return fmt.Errorf("path of %d bytes is too long", len(t.Entry.Path))
	}
	b = append(b, '\n')
	_, _ = w.sum.Write(b)
	w.rows++
	_, err = w.w.Write(b)
	return err
}

// workReader reads the work list back. It ends with io.EOF, and only if the list is
// the one of the note.
type workReader struct {
	f    *os.File
	s    *bufio.Scanner
	sum  hash.Hash64
	note *note
	rows int
}

func openWork(dir string, n *note) (*workReader, error) {
	f, err := os.Open(filepath.Join(dir, workFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", backup.ErrStale, err)
	}
	w := &workReader{f: f, s: bufio.NewScanner(f), sum: crc64nvme.New(), note: n}
	w.s.Buffer(make([]byte, 0, 64<<10), maxLine)
	w.s.Split(wholeLines)
	return w, nil
}

func (w *workReader) close() { _ = w.f.Close() }

// next is the next task and its number, from 0.
func (w *workReader) next() (int, task, error) {
	var t task
	if !w.s.Scan() {
		if err := w.s.Err(); err != nil {
			return 0, t, fmt.Errorf("%s: %w: %w", w.f.Name(), backup.ErrStale, err)
		}
		if w.rows != w.note.Rows || sum64(w.sum) != w.note.CRC64 {
			return 0, t, fmt.Errorf("%s: not the list that was surveyed: %w", w.f.Name(), backup.ErrStale)
		}
		return 0, t, io.EOF
	}
	if err := json.Unmarshal(w.s.Bytes(), &t); err != nil {
		return 0, t, fmt.Errorf("%s: %w: %w", w.f.Name(), backup.ErrStale, err)
	}
	_, _ = w.sum.Write(w.s.Bytes())
	w.rows++
	return w.rows - 1, t, nil
}

// eachTask calls do with every task.
func eachTask(dir string, note *note, do func(n int, t task) error) error {
	w, err := openWork(dir, note)
	if err != nil {
		return err
	}
	defer w.close()
	for {
		n, t, err := w.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(n, t)
		}
		if err != nil {
			return err
		}
	}
}
