package pvetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SchemaEnv is the environment variable with the folder of the vendor's schema.
const SchemaEnv = "TRIPLICATE_PROXMOX_API"

// SchemaDir finds the folder with the vendor's schema: $TRIPLICATE_PROXMOX_API, or
// shared/proxmox-api beside the repository; empty if it is not there. The schema
// is not ours to copy.
func SchemaDir() string {
	if dir := os.Getenv(SchemaEnv); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "pve-api.json")); err != nil {
			return ""
		}
		return dir
	}
	for dir, err := os.Getwd(); err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		beside := filepath.Join(filepath.Dir(dir), "shared", "proxmox-api")
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(beside, "pve-api.json")); err == nil {
			return beside
		}
	}
	return ""
}

// schema is the vendor's description of the API.
type schema struct {
	Paths map[string]map[string]struct {
		Parameters property
		Returns    property
	}
	formats
}

type formats struct {
	Scalar     map[string]string
	Properties map[string]property `json:"property_strings"`
}

// property is a value, described.
type property struct {
	Type                                   string
	Optional, Minimum, Maximum, Additional loose
	MaxLength, MinLength                   loose
	Pattern, Requires                      string
	Format                                 any
	Enum                                   []string
	Properties                             map[string]property
	Items                                  *property
	DefaultKey                             loose `json:"default_key"`
}

// loose is a number or boolean that may stand as a text.
type loose string

// UnmarshalJSON accepts any single value.
func (l *loose) UnmarshalJSON(b []byte) error {
	*l = loose(strings.Trim(string(b), `"`))
	return nil
}

func (p property) optional() bool { return p.Optional == "1" || p.Optional == "true" }

func loadSchema(dir string) (*schema, error) {
	s := &schema{}
	for name, into := range map[string]any{"pve-api.json": s, "pve-formats.json": &s.formats} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			return nil, fmt.Errorf("vendor's schema: %s: %w", name, err)
		}
	}
	if len(s.Paths) == 0 || len(s.Scalar) == 0 {
		return nil, fmt.Errorf("vendor's schema in %s is empty", dir)
	}
	return s, nil
}

// knows says whether the method is in the API.
func (s *schema) knows(method, path string) bool {
	for template, methods := range s.Paths {
		if _, ok := match(template, path); ok {
			if _, ok := methods[method]; ok {
				return true
			}
		}
	}
	return false
}

const undefined = "property is not defined in schema and the schema does not allow additional properties"

// check checks a request's parameters, with the vendor's words (PVE/JSONSchema.pm).
func (c *Cluster) check(rt *route, q *query) *refusal {
	errs := map[string]string{}
	if c.schema == nil {
		for name := range q.values {
			if !slices.Contains(rt.params, name) {
				errs[name] = undefined
			}
		}
		if vmid, ok := q.path["vmid"]; ok && !validVMID.MatchString(vmid) {
			errs["vmid"] = "type check ('integer') failed - got '" + vmid + "'"
		}
	} else {
		s := c.schema.Paths[rt.path][rt.method].Parameters
		for name, text := range q.params() {
			p, ok := s.Properties[name]
			if !ok {
				errs[name] = undefined
			} else if err := c.schema.checkText(p, text); err != nil {
				errs[name] = err.Error()
			} else if p.Requires != "" && !q.has(p.Requires) {
				errs[p.Requires] = fmt.Sprintf("missing property required by '%s'", name)
			}
		}
		for name, p := range s.Properties {
			if !p.optional() && !q.has(name) {
				errs[name] = "property is missing and it is not optional"
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &refusal{400, "Parameter verification failed.\n", errs}
}

var (
	validVMID = regexp.MustCompile(`^[1-9][0-9]{2,8}$`)
	validUPID = regexp.MustCompile(`^UPID:([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)
	isInteger = regexp.MustCompile(`^[+-]?[0-9]+$`)
)

// checkText checks a value as it comes in a form.
func (s *schema) checkText(p property, text string) error {
	switch {
	case p.Type == "boolean" && text != "0" && text != "1",
		p.Type == "integer" && !isInteger.MatchString(text):
		return fmt.Errorf("type check ('%s') failed - got '%s'", p.Type, text)
	}
	if err := s.checkFormat(p.Format, text); err != nil {
		return fmt.Errorf("invalid format - %w\n", err) //nolint:staticcheck // the vendor's line end
	}
	if p.Pattern != "" {
		if re, err := regexp.Compile("^(?:" + p.Pattern + ")$"); err != nil || !re.MatchString(text) {
			return fmt.Errorf("value does not match the regex pattern")
		}
	}
	length := utf8.RuneCountInString(text)
	if limit, err := strconv.Atoi(string(p.MaxLength)); err == nil && length > limit {
		return fmt.Errorf("value may only be %d characters long", limit)
	}
	if limit, err := strconv.Atoi(string(p.MinLength)); err == nil && length < limit {
		return fmt.Errorf("value must be at least %d characters long", limit)
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if limit, err := strconv.ParseFloat(string(p.Maximum), 64); err == nil && n > limit {
			return fmt.Errorf("value must have a maximum value of %v", limit)
		}
		if limit, err := strconv.ParseFloat(string(p.Minimum), 64); err == nil && n < limit {
			return fmt.Errorf("value must have a minimum value of %v", limit)
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, text) {
		return fmt.Errorf("value '%s' does not have a value in the enumeration '%s'", text, strings.Join(p.Enum, ", "))
	}
	return nil
}

// checkFormat checks a named format. Formats that are not at hand accept anything.
func (s *schema) checkFormat(format any, text string) error {
	name, ok := format.(string)
	if !ok {
		return nil
	}
	if hash, ok := s.Properties[name]; ok {
		return s.checkProperties(hash, text)
	}
	parts := []string{text}
	if base, ok := strings.CutSuffix(name, "-list"); ok {
		name, parts = base, separated(text)
	}
	pattern, ok := s.Scalar[name]
	for _, part := range parts {
		if ok && !regexp.MustCompile(pattern).MatchString(part) {
			return fmt.Errorf("value does not look like a valid %s", strings.TrimPrefix(name, "pve-"))
		}
	}
	return nil
}

// checkProperties checks a=1,b=2.
func (s *schema) checkProperties(hash property, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			key, value = string(hash.DefaultKey), part
		}
		p, ok := hash.Properties[key]
		if !ok {
			return fmt.Errorf("invalid key in comma-separated list property: %s", key)
		}
		if err := s.checkText(p, value); err != nil {
			return err
		}
	}
	return nil
}

// checkAnswer checks what the simulator itself says.
func (s *schema) checkAnswer(method, path string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var plain any
	if err := json.Unmarshal(b, &plain); err != nil {
		return err
	}
	return s.checkValue(s.Paths[path][method].Returns, plain, "data")
}

func (s *schema) checkValue(p property, value any, where string) error {
	var fits bool
	switch v := value.(type) {
	case nil:
		fits = p.Type == "null"
	case string:
		fits = p.Type == "string" || p.Type == ""
		if err := s.checkText(p, v); fits && err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	case float64:
		fits = p.Type == "number" || p.Type == "integer" && v == float64(int64(v)) || p.Type == "boolean" && (v == 0 || v == 1)
	case []any:
		fits = p.Type == "array"
		for i, item := range v {
			if p.Items != nil && fits {
				if err := s.checkValue(*p.Items, item, fmt.Sprintf("%s[%d]", where, i)); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		fits = p.Type == "object"
		for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
			item, ok := v[name]
			if sub := p.Properties[name]; ok {
				if err := s.checkValue(sub, item, where+"."+name); err != nil {
					return err
				}
			} else if !sub.optional() {
				return fmt.Errorf("%s.%s is missing", where, name)
			}
		}
	default:
		fits = false
	}
	if !fits {
		return fmt.Errorf("%s is %v, want %s", where, value, p.Type)
	}
	return nil
}
