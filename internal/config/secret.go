package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"

	"github.com/goccy/go-yaml/ast"

	"triplicate/internal/backup"
)

// SecretRef says where a secret is. It never holds one, so that a config can be
// printed, compared and logged.
type SecretRef struct {
	// The absolute path of a file that only its owner can read.
	File string `yaml:"file"`
	// The name of a systemd credential (LoadCredential= in the unit).
	Credential string `yaml:"credential"`
}

// String is the reference.
func (r SecretRef) String() string {
	if r.Credential != "" {
		return "credential " + r.Credential
	}
	return "file " + r.File
}

// Named is a secret by its key in the file.
type Named struct {
	Key string // proxmox.pve.token
	Ref SecretRef
}

// Secrets lists the secrets that the config names, in the order of the file's
// documentation.
func (c *Config) Secrets() (all []Named) {
	if p := c.Proxmox; p != nil && p.Frequency.Kind != backup.Disabled {
		all = append(all, Named{"proxmox.pve.token", p.PVE.Token}, Named{"proxmox.pbs.token", p.PBS.Token})
	}
	for _, o := range c.Offsite {
		if o.Frequency.Kind != backup.Disabled {
			all = append(all, Named{"offsite " + o.Name + " credentials", o.Credentials})
		}
	}
	return all
}

// Secret is what a SecretRef led to. Printing it in any way prints a mask.
type Secret struct{ text string }

// Reveal is the secret itself: for the wire, never for a log, an argument or a history.
func (s Secret) Reveal() string { return s.text }

// Format prints a mask for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// MarshalText is a mask too.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// maxSecret is more than a key of any kind; a larger file is some other file.
const maxSecret = 64 << 10

// Read reads the secret anew, less one newline at its end. It refuses a file
// that group or others can read (or write), one that is not a regular file, and
// an empty one. Errors name the file, never its content; backup.ErrElsewhere for a
// credential where no unit has loaded any.
func (r SecretRef) Read() (Secret, error) {
	path := r.File
	// On systemd's credentials the group bits are the mask of an ACL for the
	// service's user, so only the others' bits mean anything.
	var open os.FileMode = 0o077
	if r.Credential != "" {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return Secret{}, fmt.Errorf("read credential %s: %w: run by systemd with LoadCredential=%[1]s:/path (docs/checks.md#secret)", r.Credential, backup.ErrElsewhere)
		}
		path, open = filepath.Join(dir, r.Credential), 0o007
	}
	if path == "" {
		return Secret{}, errors.New("read secret: neither file nor credential is set")
	}
	// Non-blocking: a FIFO in the file's place must not hang the daemon's start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Secret{}, fmt.Errorf("read secret: %w", err)
	case !info.Mode().IsRegular():
		return Secret{}, fmt.Errorf("read secret: %s is not a regular file", path)
	case info.Mode().Perm()&open != 0:
		return Secret{}, fmt.Errorf("read secret: %s has mode %04o, so others than its owner have access to it; run: chmod 0400 %s", path, info.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return Secret{}, fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case strings.TrimSpace(text) == "":
		return Secret{}, fmt.Errorf("read secret: %s is empty", path)
	case len(b) > maxSecret:
		return Secret{}, fmt.Errorf("read secret: %s is larger than %d KiB", path, maxSecret>>10)
	case strings.ContainsRune(text, 0):
		return Secret{}, fmt.Errorf("read secret: %s is not text", path)
	}
	return Secret{text}, nil
}

var credentialName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$`)

// secret decodes a reference. Whatever else is written there may be the secret
// itself: it is masked in excerpts and never quoted.
func (d *decoder) secret(node ast.Node, v reflect.Value, path string) {
	list, ok := entries(node)
	if !ok {
		d.mask(node)
		d.fail(path, fault{message: last(path) + " must be a reference, never the secret itself",
			fix: fmt.Sprintf("Put it into a file with mode 0400 and write %s: { file: /etc/triplicate/%[1]s }, or { credential: NAME } for a systemd credential. If it was ever committed or copied, replace it.", last(path))})
		return
	}
	for _, e := range list {
		key, isText := e.Key.(*ast.StringNode)
		text, isString := e.Value.(*ast.StringNode)
		switch {
		case isText && isString && key.Value == "file" && checkPath(text.Value) == nil:
		case isText && isString && key.Value == "credential" && credentialName.MatchString(text.Value):
		default:
			d.mask(e.Value)
			d.bad[path] = true
			d.src.add(d.node(e.Value), fault{message: last(path) + " is not a reference to a secret",
				fix: "Write { file: /absolute/path } or { credential: NAME }."})
		}
	}
	if d.bad[path] {
		return
	}
	if len(list) != 1 {
		d.fail(path, fault{message: fmt.Sprintf("%s must name one place, not %d", last(path), len(list)),
			fix: "Write either { file: /absolute/path } or { credential: NAME }."})
		return
	}
	d.mapping(node, v, path)
}

// mask keeps a value, with every line of it, out of the excerpts.
func (d *decoder) mask(node ast.Node) {
	at := d.node(node)
	end := at.line + strings.Count(node.String(), "\n") + 1
	d.src.masks = append(d.src.masks, place{at.line, at.column, len(d.src.lines[at.line-1])})
	for line := at.line + 1; line <= min(end, len(d.src.lines)); line++ {
		if l := d.src.lines[line-1]; strings.HasPrefix(l, " ") {
			d.src.masks = append(d.src.masks, place{line, 1, len(l)})
		}
	}
}
