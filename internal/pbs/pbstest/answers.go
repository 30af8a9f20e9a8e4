package pbstest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// deviations are where the real server's answers differ from its own schema, by
// call: properties that the schema describes otherwise or does not have, or * for
// the whole answer. The simulator follows the server.
var deviations = map[string][]string{
	"GET /admin/datastore/{store}/active-operations": {"*"},     // said to be null
	"GET /admin/datastore/{store}/protected":         {"*"},     // said to be null
	"GET /nodes/{node}/tasks/{upid}/log":             {"*"},     // said to be null
	"POST /admin/datastore/{store}/prune":            {"*"},     // rows have more, or it is a UPID
	"GET /admin/datastore/{store}/snapshots":         {"files"}, // objects, not names
}

// checkAnswer checks an answer of the simulator's own.
func (s *schema) checkAnswer(name, path string, body []byte) error {
	except := deviations[name+" "+path]
	if slices.Contains(except, "*") {
		return nil
	}
	var envelope struct {
		Data any `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return err
	}
	m, err := s.method(name, path)
	if err != nil {
		return err
	}
	return m.Returns.check("data", envelope.Data, except)
}

// check checks a decoded value.
func (sh *shape) check(at string, v any, except []string) error {
	if sh == nil {
		return nil
	}
	switch value := v.(type) {
	case nil:
		return mismatch(at, "null", sh.Type)
	case bool:
		return mismatch(at, "boolean", sh.Type)
	case float64:
		if sh.Type != "number" && (sh.Type != "integer" || value != math.Trunc(value)) {
			return mismatch(at, "number", sh.Type)
		}
		return inside(at, sh.checkNumber(value))
	case string:
		if sh.Type != "string" {
			return mismatch(at, "string", sh.Type)
		}
		return inside(at, sh.checkString(value))
	case []any:
		if sh.Type != "array" {
			return mismatch(at, "array", sh.Type)
		}
		for i, item := range value {
			if err := sh.Items.check(fmt.Sprintf("%s[%d]", at, i), item, except); err != nil {
				return err
			}
		}
	case map[string]any:
		return sh.checkObject(at, value, except)
	}
	return nil
}

func (sh *shape) checkObject(at string, v map[string]any, except []string) error {
	if sh.Type != "object" {
		return mismatch(at, "object", sh.Type)
	}
	for name, p := range sh.Props {
		value, ok := v[name]
		switch {
		case slices.Contains(except, name), !ok && p.optional():
		case !ok:
			return fmt.Errorf("%s: %s is missing", at, name)
		default:
			if err := p.check(at+"."+name, value, except); err != nil {
				return err
			}
		}
	}
	for name := range v {
		if sh.Props[name] == nil && sh.More != nil && !*sh.More && !slices.Contains(except, name) {
			return fmt.Errorf("%s: %s is not in the schema", at, name)
		}
	}
	return nil
}

func mismatch(at, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is %s, not %s", at, got, want)
}

func inside(at string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}
