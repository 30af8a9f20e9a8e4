package offsite

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"triplicate/internal/backup"
)

// chain lists the manifests of a dataset, oldest first. It is one request for each
// thousand of them.
func (v *Vault) chain(ctx context.Context, dataset string) ([]backup.OffsitePoint, error) {
	var points []backup.OffsitePoint
	err := v.Bucket.List(ctx, backup.ManifestPrefix(v.Prefix, dataset), func(o backup.Object) error {
		p, ok := backup.ParseManifestKey(v.Prefix, o.Key)
		if !ok || p.Dataset != dataset {
			return nil
		}
		p.Written = o.Modified
		if n := len(points); n > 0 && points[n-1].Seq >= p.Seq {
			return fmt.Errorf("%s and %s: %w", points[n-1].Key, p.Key, backup.ErrTwoWriters)
		}
		points = append(points, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list manifests of %s: %w", dataset, err)
	}
	return points, nil
}

// open reads one manifest from the bucket. Its header belongs under its key.
func (v *Vault) open(ctx context.Context, p backup.OffsitePoint) (*decoder, io.Closer, error) {
	body, _, err := v.Bucket.Get(ctx, p.Key, "")
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: %w", p.Key, err)
	}
	d, err := unzip(arriving{body}, p.Key)
	if err == nil {
		err = d.header.Check(p)
	}
	if err != nil {
		_ = body.Close()
		return nil, nil, err
	}
	return d, body, nil
}

// arriving tells a connection that broke, which another try may cure, from an object
// that is too short.
type arriving struct{ io.Reader }

func (a arriving) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: the connection ended early", backup.ErrUnreachable)
	}
	return n, err
}

func unzip(r io.Reader, name string) (*decoder, error) {
	z, err := gzip.NewReader(r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, unzipError(err, name)
	}
	return newDecoder(gzipErrors{z, name}, name)
}

// gzipErrors says of damaged gzip that the manifest is damaged.
type gzipErrors struct {
	r    io.Reader
	name string
}

func (g gzipErrors) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	return n, unzipError(err, g.name)
}

func unzipError(err error, name string) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(flate.CorruptInputError)) {
		return fmt.Errorf("%s: %w: %w", name, backup.ErrManifest, err)
	}
	return err
}

// refresh makes the catalog that of the newest manifest and returns its header, nil
// if there is no manifest. What is cached already is not read again.
func (v *Vault) refresh(ctx context.Context, dir string, points []backup.OffsitePoint, have *backup.ManifestHeader) (*backup.ManifestHeader, error) {
	if len(points) == 0 {
		return nil, remove(filepath.Join(dir, catalogFile))
	}
	newest := points[len(points)-1]
	if have != nil && have.Check(newest) == nil {
		return have, nil
	}
	names, err := v.fetchChain(ctx, dir, points, have)
	if err != nil {
		return nil, err
	}
	if err := v.install(dir, names); err != nil {
		return nil, forget(dir, err)
	}
	return cached(dir)
}

// cached is the header of the catalog, nil if there is none or it cannot be read.
func cached(dir string) (*backup.ManifestHeader, error) {
	f, err := os.Open(filepath.Join(dir, catalogFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := newDecoder(f, f.Name())
	if errors.Is(err, backup.ErrManifest) {
		return nil, nil // a cache: read it anew from the bucket
	}
	if err != nil {
		return nil, err
	}
	return &d.header, nil
}

// fetchChain brings the manifests that the catalog lacks into the folder, oldest
// first: back to the cached one or to a whole one.
func (v *Vault) fetchChain(ctx context.Context, dir string, points []backup.OffsitePoint, have *backup.ManifestHeader) ([]string, error) {
	var names []string
	for i := len(points) - 1; ; i-- {
		p := points[i]
		if have != nil && have.Check(p) == nil {
			return names, nil
		}
		name := filepath.Join(dir, fmt.Sprintf(chainFile, p.Seq))
		h, err := v.download(ctx, p, name)
		if err != nil {
			return nil, err
		}
		if h.Host != v.Host {
			return nil, fmt.Errorf("%s: written by host %q, this is %q: %w", p.Key, h.Host, v.Host, backup.ErrTwoWriters)
		}
		if err := links(points[:i+1], h); err != nil {
			return nil, err
		}
		names = append([]string{name}, names...)
		if h.Base == "" {
			return names, remove(filepath.Join(dir, catalogFile))
		}
	}
}

// links says whether the last of the points builds on the one before, or on none.
func links(points []backup.OffsitePoint, h backup.ManifestHeader) error {
	if h.Base == "" || (len(points) > 1 && points[len(points)-2].Key == h.Base) {
		return nil
	}
	return fmt.Errorf("%s: builds on %s, which is not there: %w", points[len(points)-1].Key, h.Base, backup.ErrManifest)
}

// download copies a manifest to a file, checking all of it on the way.
func (v *Vault) download(ctx context.Context, p backup.OffsitePoint, name string) (backup.ManifestHeader, error) {
	d, body, err := v.open(ctx, p)
	if err != nil {
		return backup.ManifestHeader{}, err
	}
	defer func() { _ = body.Close() }()
	err = zipped(name, func(w io.Writer) error { return copyRows(w, d.header, d) })
	return d.header, err
}

func copyRows(w io.Writer, h backup.ManifestHeader, from rows) error {
	e, err := newEncoder(w, h)
	if err != nil {
		return err
	}
	for {
		r, err := from.next()
		if errors.Is(err, io.EOF) {
			return e.close()
		}
		if err != nil {
			return err
		}
		if err := e.add(r); err != nil {
			return err
		}
	}
}

// install lays manifests, oldest first, over the catalog (over nothing if there is
// none), and removes them. The catalog gets the header of the newest.
func (v *Vault) install(dir string, names []string) error {
	var state rows = nothing{}
	var header backup.ManifestHeader
	layers := append([]string{filepath.Join(dir, catalogFile)}, names...)
	for i, name := range layers {
		f, err := os.Open(name)
		if i == 0 && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer f.Close()
		d, err := layer(f, i > 0)
		if err != nil {
			return err
		}
		if i == 0 {
			state = catalog{d}
		} else {
			state = lay(state, d)
		}
		header = d.header
	}
	err := replace(filepath.Join(dir, catalogFile), func(w io.Writer) error { return copyRows(w, header, state) })
	if err != nil {
		return err
	}
	return remove(names...)
}

func layer(f *os.File, gz bool) (*decoder, error) {
	if gz {
		return unzip(f, f.Name())
	}
	return newDecoder(f, f.Name())
}
