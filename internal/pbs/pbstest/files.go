package pbstest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const manifestName = "index.json.blob"

// fileNames are a backup's files, as Proxmox VE's clients call them: configuration,
// index, log; the manifest comes last, and with it the backup is finished.
func fileNames(group string) (config, index, log string) {
	if strings.HasPrefix(group, "vm/") {
		return "qemu-server.conf.blob", "drive-scsi0.img.fidx", "client.log.blob"
	}
	return "pct.conf.blob", "root.pxar.didx", "client.log.blob"
}

// makeDir makes the folder of a datastore, if it has one.
func (d *datastore) makeDir() error {
	if d.Dir == "" {
		return nil
	}
	return os.MkdirAll(filepath.Join(d.Dir, ".chunks"), 0o750)
}

func (d *datastore) chunkPath(id digest) string {
	name := hex.EncodeToString(id[:])
	return filepath.Join(d.Dir, ".chunks", name[:4], name)
}

func (d *datastore) writeChunk(id digest, content []byte) error {
	if d.Dir == "" {
		return nil
	}
	path := d.chunkPath(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o640)
}

// touchChunk sets a chunk file's access time, as marking does.
func (d *datastore) touchChunk(id digest, at time.Time) error {
	if d.Dir == "" {
		return nil
	}
	return os.Chtimes(d.chunkPath(id), at, time.Time{})
}

func (d *datastore) removeChunk(id digest) error {
	if d.Dir == "" {
		return nil
	}
	return os.Remove(d.chunkPath(id))
}

// folder is where a backup's files are: ns/<namespace>/vm/101/2026-11-22T01:00:03Z.
func (d *datastore) folder(s *snapshot) string {
	parts := []string{d.Dir}
	if s.ns != "" {
		for _, n := range strings.Split(s.ns, "/") {
			parts = append(parts, "ns", n)
		}
	}
	return filepath.Join(append(parts, s.Group, s.Time.Format(time.RFC3339))...)
}

// manifestFile is the content of the manifest. The real one is a blob with such a
// document inside.
type manifestFile struct {
	Type  string         `json:"backup-type"`
	ID    string         `json:"backup-id"`
	Time  int64          `json:"backup-time"`
	Files []manifestPart `json:"files"`
	Loose struct {
		Notes  string `json:"notes,omitempty"`
		Verify any    `json:"verify_state,omitempty"`
	} `json:"unprotected"`
}

type manifestPart struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
	Sum      string `json:"csum"` // SHA-256
	Mode     string `json:"crypt-mode"`
}

// writeBackup writes a finished backup's files, the manifest last and at once.
func (d *datastore) writeBackup(s *snapshot) error {
	if d.Dir == "" {
		return nil
	}
	dir := d.folder(s)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "owner"), []byte(s.Owner+"\n"), 0o640); err != nil {
		return err
	}
	config, index, log := fileNames(s.Group)
	var digests strings.Builder
	for _, id := range s.chunks {
		digests.WriteString(hex.EncodeToString(id[:]) + "\n")
	}
	m := manifestFile{Time: s.Time.Unix()}
	m.Type, m.ID, _ = strings.Cut(s.Group, "/")
	m.Loose.Notes = s.Notes
	for _, f := range []struct{ name, content string }{
		{config, "name: " + s.Group + "\n"}, {index, digests.String()}, {log, "backup finished\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.content), 0o640); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(f.content))
		m.Files = append(m.Files, manifestPart{f.name, int64(len(f.content)), hex.EncodeToString(sum[:]), "none"})
	}
	if err := d.writeProtected(s); err != nil {
		return err
	}
	return writeManifest(dir, m)
}

// beginFiles makes the folder of a backup that is being written.
func (d *datastore) beginFiles(s *snapshot) error {
	if d.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(d.folder(s), 0o750); err != nil {
		return err
	}
	config, _, _ := fileNames(s.Group)
	return os.WriteFile(filepath.Join(d.folder(s), config), []byte("name: "+s.Group+"\n"), 0o640)
}

// writeProtected makes the folder say whether the backup is protected.
func (d *datastore) writeProtected(s *snapshot) error {
	if d.Dir == "" {
		return nil
	}
	path := filepath.Join(d.folder(s), ".protected")
	if s.Protected {
		return os.WriteFile(path, nil, 0o640)
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeVerified writes the verdict of verify into the manifest.
func (d *datastore) writeVerified(s *snapshot) error {
	if d.Dir == "" {
		return nil
	}
	m, err := readManifest(d.folder(s))
	if err != nil {
		return err
	}
	m.Loose.Verify = map[string]any{"state": s.Verified, "upid": s.verified}
	return writeManifest(d.folder(s), m)
}

// writeManifest replaces the manifest at once, as the server does.
func writeManifest(dir string, m manifestFile) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestName)
	if err := os.WriteFile(path+".tmp", data, 0o640); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func readManifest(dir string) (m manifestFile, err error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: manifest: %w", dir, err)
	}
	return m, nil
}

func (d *datastore) removeFiles(s *snapshot) {
	if d.Dir != "" {
		_ = os.RemoveAll(d.folder(s)) // a leftover has no manifest, or goes with the next prune
	}
}

// damage breaks a backup's index file.
func (d *datastore) damage(s *snapshot) {
	if d.Dir != "" {
		_, index, _ := fileNames(s.Group)
		_ = os.WriteFile(filepath.Join(d.folder(s), index), []byte("damaged"), 0o640)
	}
}

// Check reads a datastore's folder, be it live, a ZFS snapshot or a copy, and counts
// the finished backups in it. The error says what is missing or wrong: a file that
// is not as the manifest says, a chunk that is not there or has other content. A
// backup without a manifest is no error; it is unfinished.
func Check(dir string) (backups int, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != manifestName {
			return err
		}
		backups++
		return checkBackup(dir, filepath.Dir(path))
	})
	return backups, err
}

// checkBackup checks one backup's files and chunks.
func checkBackup(root, dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		content, err := os.ReadFile(filepath.Join(dir, f.Filename))
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != f.Sum {
			return fmt.Errorf("%s: %s: wrong checksum", dir, f.Filename)
		}
		if !strings.HasSuffix(f.Filename, "idx") {
			continue
		}
		for name := range strings.Lines(string(content)) {
			if err := checkChunk(root, strings.TrimSpace(name)); err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
		}
	}
	return nil
}

func checkChunk(root, name string) error {
	if len(name) != 2*sha256.Size {
		return errors.New("an index without digests")
	}
	content, err := os.ReadFile(filepath.Join(root, ".chunks", name[:4], name))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != name {
		return fmt.Errorf("chunk %s has other content", name)
	}
	return nil
}
