package config

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"triplicate/internal/backup"
)

// node is a part of a JSON Schema. Maps are written with their keys in order.
type node map[string]any

const (
	timeOfDay = `([01][0-9]|2[0-3]):[0-5][0-9]`
	// What zfs(8) allows, less what must never reach a command line.
	datasetPart = `[A-Za-z0-9_]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?`
)

// forms say in a schema's words what the kinds without a pattern of their own test.
// They are wider where a pattern cannot say it all: what the schema lets through,
// triplicate check still judges.
var forms = map[string]node{
	"timezone":      {"type": "string", "pattern": `^[A-Za-z][A-Za-z0-9_+/-]*$`, "not": node{"const": "Local"}},
	"path":          {"type": "string", "pattern": `^/[^/]`},
	"dataset":       {"type": "string", "pattern": `^[A-Za-z]([A-Za-z0-9_.: -]*[A-Za-z0-9_.:-])?(/` + datasetPart + `)*$`, "maxLength": 255 - snapshotRoom},
	"pool":          {"type": "string", "pattern": poolName.String()},
	"url":           {"type": "string", "pattern": `^https?://[^@/?#]+/?$`},
	"key prefix":    {"type": "string", "pattern": keyPrefix.String()},
	"storage class": {"enum": storageClasses},
	"address":       {"type": "string", "pattern": `^$|^[^@/ ]+:[0-9]{1,5}$`},
	"ip":            {"type": "string", "pattern": `^[0-9A-Fa-f.:]+$`},
}

// definitions are the forms that many keys share.
func definitions() node {
	return node{
		"frequency": node{"description": "hourly, daily at HH:MM, or disabled", "type": "string", "pattern": "^(hourly|disabled|daily at " + timeOfDay + ")$",
			"examples": []string{"hourly", "daily at 01:30", "disabled"}},
		"daily": node{"description": "daily at HH:MM, or disabled", "type": "string", "pattern": "^(disabled|daily at " + timeOfDay + ")$",
			"examples": []string{"daily at 02:30", "disabled"}},
		"time": node{"description": "HH:MM", "type": "string", "pattern": "^" + timeOfDay + "$"},
		"keep": keepSchema(),
		"secret": node{"description": "Where a secret is; never the secret itself", "type": "object", "additionalProperties": false,
			"minProperties": 1, "maxProperties": 1,
			"properties": node{"file": forms["path"], "credential": node{"type": "string", "pattern": credentialName.String()}}},
	}
}

func keepSchema() node {
	tiers := node{}
	for _, f := range fields(keepType) {
		tiers[f.name] = node{"anyOf": []any{node{"type": "integer", "minimum": 1, "maximum": maxKeep}, node{"const": "all"}}}
	}
	return node{"description": "How many calendar slots of each tier keep their newest", "type": "object", "additionalProperties": false,
		"minProperties": 1, "properties": tiers}
}

func ref(name string) node { return node{"$ref": "#/$defs/" + name} }

// schemaOf is the schema of a struct's keys, which its comments describe.
func schemaOf(t *testing.T, v reflect.Value, meaning map[string]string) node {
	props, required := node{}, []string{}
	for _, f := range fields(v.Type()) {
		field := v.Type().Field(f.index)
		n := typeSchema(t, field.Type, f.tag, meaning)
		n["description"] = meaning[v.Type().Name()+"."+field.Name]
		if f.required {
			required = append(required, f.name)
		}
		if x := v.Field(f.index); !x.IsZero() && x.Kind() != reflect.Struct {
			n["default"] = x.Interface()
		}
		props[f.name] = n
	}
	n := node{"type": "object", "additionalProperties": false, "properties": props}
	if len(required) > 0 {
		n["required"] = required
	}
	return n
}

func typeSchema(t *testing.T, typ reflect.Type, tag reflect.StructTag, meaning map[string]string) node {
	switch typ {
	case frequencyType:
		if tag.Get("is") == "daily" {
			return ref("daily")
		}
		return ref("frequency")
	case keepType:
		return ref("keep")
	case timeType:
		return ref("time")
	case secretType:
		return ref("secret")
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return typeSchema(t, typ.Elem(), tag, meaning)
	case reflect.Slice:
		n := node{"type": "array", "items": typeSchema(t, typ.Elem(), tag, meaning)}
		return n
	case reflect.Struct:
		v := reflect.New(typ)
		switch d := v.Interface().(type) {
		case interface{ setDefaults() }:
			d.setDefaults()
		case *Temporal:
			*d = Default().Temporal
		}
		return schemaOf(t, v.Elem(), meaning)
	case reflect.Int, reflect.Float64:
		kind := map[reflect.Kind]string{reflect.Int: "integer", reflect.Float64: "number"}[typ.Kind()]
		return node{"type": kind, "minimum": bound(t, tag.Get("min")), "maximum": bound(t, tag.Get("max"))}
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.String:
		is := tag.Get("is")
		if n, ok := forms[is]; ok {
			return node(copied(n))
		}
		if kinds[is].pattern == nil {
			t.Fatalf("no schema for the form %q", is)
		}
		return node{"type": "string", "pattern": kinds[is].pattern.String()}
	}
	t.Fatalf("no schema for %v", typ)
	return nil
}

func copied(n node) map[string]any {
	c := map[string]any{}
	for k, v := range n {
		c[k] = v
	}
	return c
}

func bound(t *testing.T, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// generated is the schema of the types as they are now.
func generated(t *testing.T) []byte {
	t.Helper()
	meaning := map[string]string{}
	for _, name := range []string{"config.go", "secret.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range fieldComments(file) {
			meaning[k] = v
		}
	}
	n := schemaOf(t, reflect.ValueOf(Default()), meaning)
	n["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	n["title"] = "triplicate.yaml"
	n["description"] = "The config of Triplicate. triplicate check judges more than this schema can say."
	n["$defs"] = definitions()
	rows := n["properties"].(node)["snapshots"].(node)
	rows["minItems"] = 1
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(n); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSchemaIsOfTheTypes: a key that is added, renamed or described anew is in the
// schema, too.
func TestSchemaIsOfTheTypes(t *testing.T) {
	got := generated(t)
	golden(t, "../../triplicate.schema.json", string(got))
	for _, st := range structs(reflect.TypeFor[Config](), map[reflect.Type]bool{}) {
		for _, f := range fields(st) {
			if !strings.Contains(string(got), `"`+f.name+`": {`) {
				t.Errorf("%v.%s is not in it", st, f.name)
			}
		}
	}
	if backup.All >= 0 {
		t.Error("all is a number that a schema would take for one")
	}
}
