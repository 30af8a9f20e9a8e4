package s3test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// blobs keeps the bodies of objects and parts.
type blobs interface {
	// write calls fill to write a body; nothing is kept if that fails.
	write(name string, fill func(io.Writer) error) error
	open(name string) (io.ReadSeekCloser, error)
	remove(name string) error // gone, or no name, is success
}

type memory struct {
	mu     sync.Mutex
	bodies map[string][]byte
}

func newMemory() *memory { return &memory{bodies: map[string][]byte{}} }

func (m *memory) write(name string, fill func(io.Writer) error) error {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bodies[name] = b.Bytes()
	return nil
}

type body struct{ *bytes.Reader }

// Close does nothing.
func (body) Close() error { return nil }

func (m *memory) open(name string) (io.ReadSeekCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.bodies[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return body{bytes.NewReader(b)}, nil
}

func (m *memory) remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bodies, name)
	return nil
}

// directory keeps bodies in files. There is no fsync: a kill loses nothing, and a
// double need not outlive a power cut.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), "blobs", name) }

func (d directory) write(name string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o700); err != nil {
		return err
	}
	f, err := os.Create(d.path(name) + ".new")
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), d.path(name))
}

func (d directory) open(name string) (io.ReadSeekCloser, error) { return os.Open(d.path(name)) }

func (d directory) remove(name string) error {
	if name == "" {
		return nil
	}
	if err := os.Remove(d.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
