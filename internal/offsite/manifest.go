package offsite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/minio/crc64nvme"

	"triplicate/internal/backup"
)

// maxLine bounds a line of a manifest: a path may be many directories deep, but
// what comes from a bucket must not fill the memory.
const maxLine = 1 << 20

// A manifest is lines of JSON: the header, the entries by backup.Order, and a
// trailer, without which it was cut short.
type trailer struct {
	End   bool   `json:"end"`
	Rows  int    `json:"rows"`
	CRC64 string `json:"crc64"` // of all lines before
}

// row is an entry on its way through a comparison.
type row struct {
	backup.Entry
	order string
	line  []byte // as it was read, with its newline; valid until the next one
}

// rows is a sorted stream of entries. It ends with io.EOF.
type rows interface {
	next() (row, error)
}

// encoder writes a manifest.
type encoder struct {
	w    *bufio.Writer
	sum  hash.Hash64
	buf  []byte
	rows int
	last string
}

func newEncoder(w io.Writer, h backup.ManifestHeader) (*encoder, error) {
	e := &encoder{w: bufio.NewWriterSize(w, 64<<10), sum: crc64nvme.New()}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return e, e.write(append(line, '\n'))
}

func (e *encoder) write(line []byte) error {
	_, _ = e.sum.Write(line)
	_, err := e.w.Write(line)
	return err
}

// add writes one row. A row that was read and not changed goes as it came.
func (e *encoder) add(r row) error {
	if e.rows > 0 && r.order <= e.last {
		return fmt.Errorf("write manifest: %q after %q: out of order", r.order, e.last)
	}
	e.rows, e.last = e.rows+1, r.order
	if r.line != nil {
		return e.write(r.line)
	}
	var err error
	if e.buf, err = r.AppendJSON(e.buf[:0]); err != nil {
		return err
	}
	if len(e.buf) >= maxLine {
		return fmt.Errorf("write manifest: path of %d bytes is too long", len(r.Path))
	}
	e.buf = append(e.buf, '\n')
	return e.write(e.buf)
}

func (e *encoder) close() error {
	line, err := json.Marshal(trailer{End: true, Rows: e.rows, CRC64: sum64(e.sum)})
	if err != nil {
		return err
	}
	if _, err := e.w.Write(append(line, '\n')); err != nil {
		return err
	}
	return e.w.Flush()
}

// decoder reads a manifest and trusts nothing in it.
type decoder struct {
	header backup.ManifestHeader
	name   string // for errors
	s      *bufio.Scanner
	sum    hash.Hash64
	rows   int
	last   string
	done   bool
}

func newDecoder(r io.Reader, name string) (*decoder, error) {
	d := &decoder{name: name, s: bufio.NewScanner(r), sum: crc64nvme.New()}
	d.s.Buffer(make([]byte, 0, 64<<10), maxLine)
	d.s.Split(wholeLines)
	if !d.s.Scan() {
		return nil, d.broken(d.s.Err())
	}
	if err := json.Unmarshal(d.s.Bytes(), &d.header); err != nil {
		return nil, d.broken(err)
	}
	if d.header.Format != backup.ManifestFormat {
		return nil, fmt.Errorf("%s: format %d, want %d: %w", name, d.header.Format, backup.ManifestFormat, backup.ErrManifest)
	}
	_, _ = d.sum.Write(d.s.Bytes())
	return d, nil
}

// wholeLines splits after newlines; what follows the last one is no line.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

func (d *decoder) broken(err error) error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, bufio.ErrTooLong) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*json.SyntaxError)) ||
		errors.As(err, new(*json.UnmarshalTypeError)) {
		return fmt.Errorf("%s: after %d rows: %w: %w", d.name, d.rows, backup.ErrManifest, err)
	}
	return fmt.Errorf("%s: %w", d.name, err)
}

func (d *decoder) next() (row, error) {
	if d.done {
		return row{}, io.EOF
	}
	if !d.s.Scan() {
		return row{}, d.broken(d.s.Err())
	}
	line := d.s.Bytes()
	if bytes.HasPrefix(line, []byte(`{"end":`)) {
		return row{}, d.end(line)
	}
	r := row{line: line}
	if err := r.UnmarshalJSON(line); err != nil {
		return row{}, d.broken(err)
	}
	if err := r.Check(); err != nil {
		return row{}, fmt.Errorf("%s: %w", d.name, err)
	}
	r.order = backup.Order(r.Path, r.Type)
	if d.rows > 0 && r.order <= d.last {
		return row{}, fmt.Errorf("%s: %q after %q: %w", d.name, r.order, d.last, backup.ErrManifest)
	}
	d.rows, d.last = d.rows+1, r.order
	_, _ = d.sum.Write(line)
	return r, nil
}

// end checks the trailer; nothing may follow it.
func (d *decoder) end(line []byte) error {
	var t trailer
	if err := json.Unmarshal(line, &t); err != nil {
		return d.broken(err)
	}
	if t.Rows != d.rows || t.CRC64 != sum64(d.sum) {
		return fmt.Errorf("%s: %d rows with checksum %s, its end says %d with %s: %w",
			d.name, d.rows, sum64(d.sum), t.Rows, t.CRC64, backup.ErrManifest)
	}
	if d.s.Scan() || d.s.Err() != nil {
		return fmt.Errorf("%s: something follows its end: %w", d.name, backup.ErrManifest)
	}
	d.done = true
	return io.EOF
}
