package pbstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// schema is the vendor's description of its API. Of each call's it reads what is
// asked for, when it is asked for: few of the hundred are.
type schema struct {
	raw  map[string]map[string]json.RawMessage // by path and method
	read map[string]*method
}

type method struct {
	Parameters *shape `json:"parameters"`
	Returns    *shape `json:"returns"`
}

// shape is the schema of one value.
type shape struct {
	Type      string            `json:"type"`
	Optional  json.RawMessage   `json:"optional"` // 1 or true
	Minimum   *float64          `json:"minimum"`
	Maximum   *float64          `json:"maximum"`
	MinLength *int              `json:"minLength"`
	MaxLength *int              `json:"maxLength"`
	Pattern   string            `json:"pattern"`
	Enum      []string          `json:"enum"`
	Items     *shape            `json:"items"`
	Props     map[string]*shape `json:"properties"`
	More      *bool             `json:"additionalProperties"`
	Format    json.RawMessage   `json:"format"` // a name, or the shape of a property string
	Default   string            `json:"default_key"`

	pattern *regexp.Regexp
	format  *shape
}

// VendorDir is the folder with the vendor's API data, for Config.Schema: what
// TRIPLICATE_PROXMOX_API says, or shared/proxmox-api beside the repository; empty if
// there is none. The data is not part of the repository.
func VendorDir() string {
	dir := os.Getenv("TRIPLICATE_PROXMOX_API")
	if dir == "" {
		root, err := os.Getwd()
		for err == nil {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil || root == filepath.Dir(root) {
				break
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "proxmox-api")
	}
	if _, err := os.Stat(filepath.Join(dir, "pbs-api.json")); err != nil {
		return ""
	}
	return dir
}

// loadSchema reads pbs-api.json in a folder.
func loadSchema(dir string) (*schema, error) {
	data, err := os.ReadFile(filepath.Join(dir, "pbs-api.json"))
	if err != nil {
		return nil, err
	}
	var file struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("pbs-api.json: %w", err)
	}
	return &schema{file.Paths, map[string]*method{}}, nil
}

// has says whether there is such a call.
func (s *schema) has(name, path string) bool { return s.raw[path][name] != nil }

// method reads the schema of a call.
func (s *schema) method(name, path string) (*method, error) {
	call := name + " " + path
	if m := s.read[call]; m != nil {
		return m, nil
	}
	m := new(method)
	if err := json.Unmarshal(s.raw[path][name], m); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", call, err)
	}
	if err := errors.Join(m.Parameters.prepare(), m.Returns.prepare()); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", call, err)
	}
	s.read[call] = m
	return m, nil
}

// prepare compiles the patterns, which stand between slashes.
func (sh *shape) prepare() error {
	if sh == nil {
		return nil
	}
	var err error
	if sh.Pattern != "" {
		if sh.pattern, err = regexp.Compile(strings.TrimSuffix(strings.TrimPrefix(sh.Pattern, "/"), "/")); err != nil {
			return err
		}
	}
	if len(sh.Format) > 0 && sh.Format[0] == '{' {
		sh.format = new(shape)
		if err := json.Unmarshal(sh.Format, sh.format); err != nil {
			return err
		}
		if err := sh.format.prepare(); err != nil {
			return err
		}
	}
	for _, p := range sh.Props {
		err = errors.Join(err, p.prepare())
	}
	return errors.Join(err, sh.Items.prepare())
}

func (sh *shape) optional() bool { o := string(sh.Optional); return o == "1" || o == "true" }

// checkParams says, in the server's words, what is wrong with a call's parameters.
func (s *schema) checkParams(name, path string, params url.Values) error {
	m, err := s.method(name, path)
	if err != nil {
		return err
	}
	want := m.Parameters
	wrong := map[string]string{}
	for param, values := range params {
		sh := want.Props[param]
		if sh == nil {
			wrong[param] = "schema does not allow additional properties."
			continue
		}
		if sh.Type == "array" {
			sh = sh.Items
		} else if len(values) > 1 {
			wrong[param] = "duplicate parameter."
			continue
		}
		for _, v := range values {
			if err := sh.checkText(v); err != nil {
				wrong[param] = err.Error()
			}
		}
	}
	for param, sh := range want.Props {
		if !sh.optional() && !params.Has(param) {
			wrong[param] = "parameter is missing and it is not optional."
		}
	}
	names := slices.Sorted(maps.Keys(wrong))
	switch len(names) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("parameter verification failed - '%s': %s", names[0], wrong[names[0]])
	}
	text := "parameter verification errors\n"
	for _, n := range names {
		text += fmt.Sprintf("\nparameter '%s': %s", n, wrong[n])
	}
	return errors.New(text)
}

// checkText checks a value as it stands in a query or form.
func (sh *shape) checkText(v string) error {
	switch sh.Type {
	case "boolean":
		if _, ok := parseBool(v); !ok {
			return bad("unable to parse boolean option.")
		}
	case "integer", "number":
		n, err := strconv.ParseFloat(v, 64)
		if _, e := strconv.ParseInt(v, 10, 64); err != nil || sh.Type == "integer" && e != nil {
			return bad("invalid digit found in string")
		}
		return sh.checkNumber(n)
	case "string":
		return sh.checkString(v)
	}
	return nil
}

func (sh *shape) checkNumber(n float64) error {
	switch {
	case sh.Minimum != nil && n < *sh.Minimum:
		return bad("value must have a minimum value of %v (got %v)", *sh.Minimum, n)
	case sh.Maximum != nil && n > *sh.Maximum:
		return bad("value must have a maximum value of %v (got %v)", *sh.Maximum, n)
	}
	return nil
}

func (sh *shape) checkString(v string) error {
	switch {
	case sh.MinLength != nil && len(v) < *sh.MinLength:
		return bad("value must be at least %d characters long", *sh.MinLength)
	case sh.MaxLength != nil && len(v) > *sh.MaxLength:
		return bad("value may only be %d characters long", *sh.MaxLength)
	case len(sh.Enum) > 0 && !slices.Contains(sh.Enum, v):
		return bad("value '%s' is not defined in the enumeration.", v)
	case sh.pattern != nil && !sh.pattern.MatchString(v):
		return bad("value does not match the regex pattern")
	case sh.format != nil:
		return sh.format.checkPropertyString(v)
	}
	return nil
}

// checkPropertyString checks key=value,key=value; the first may lack its key.
func (sh *shape) checkPropertyString(v string) error {
	quoted := false
	for part := range strings.FieldsFuncSeq(v, func(r rune) bool {
		quoted = quoted != (r == '"')
		return r == ',' && !quoted
	}) {
		key, value, named := strings.Cut(part, "=")
		if !named {
			key, value = sh.Default, key
		}
		p := sh.Props[key]
		if p == nil {
			return bad("invalid key in property string: %s", key)
		}
		if err := p.checkText(strings.Trim(value, `"`)); err != nil {
			return err
		}
	}
	return nil
}
