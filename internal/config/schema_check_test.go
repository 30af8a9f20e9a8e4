package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// judge is a checker of the part of JSON Schema that our schema uses; a word that
// it does not know fails the test.
type judge struct {
	t    *testing.T
	root map[string]any
}

// wrong is why value does not fit; empty if it does.
func (j judge) wrong(schema map[string]any, value any, at string) string {
	for word, arg := range schema {
		if why := j.word(schema, word, arg, value); why != "" {
			return at + ": " + why
		}
	}
	switch v := value.(type) {
	case map[string]any:
		props, _ := schema["properties"].(map[string]any)
		for key, below := range v {
			if prop, ok := props[key].(map[string]any); ok {
				if why := j.wrong(prop, below, at+"."+key); why != "" {
					return why
				}
			}
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, below := range v {
			if why := j.wrong(items, below, fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	}
	return ""
}

func (j judge) word(schema map[string]any, word string, arg, value any) string {
	text, isText := value.(string)
	number, isNumber := value.(float64)
	object, isObject := value.(map[string]any)
	list, isList := value.([]any)
	fails := func(bad bool) string {
		if bad {
			return fmt.Sprintf("%v does not fit %s %v", value, word, arg)
		}
		return ""
	}
	switch word {
	case "$schema", "$defs", "title", "description", "default", "examples", "properties", "items":
		return ""
	case "$ref":
		def := j.root["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")]
		return j.wrong(def.(map[string]any), value, "")
	case "type":
		_, isBool := value.(bool)
		is := map[string]bool{"string": isText, "number": isNumber, "integer": isNumber && number == float64(int64(number)), "object": isObject, "array": isList, "boolean": isBool}
		return fails(!is[arg.(string)])
	case "pattern":
		return fails(isText && !regexp.MustCompile(arg.(string)).MatchString(text))
	case "maxLength":
		return fails(isText && utf8.RuneCountInString(text) > int(arg.(float64)))
	case "minimum":
		return fails(isNumber && number < arg.(float64))
	case "maximum":
		return fails(isNumber && number > arg.(float64))
	case "minItems":
		return fails(isList && len(list) < int(arg.(float64)))
	case "minProperties":
		return fails(isObject && len(object) < int(arg.(float64)))
	case "maxProperties":
		return fails(isObject && len(object) > int(arg.(float64)))
	case "enum":
		return fails(!slices.Contains(arg.([]any), value))
	case "const":
		return fails(!reflect.DeepEqual(arg, value))
	case "not":
		return fails(j.wrong(arg.(map[string]any), value, "") == "")
	case "anyOf":
		return fails(!slices.ContainsFunc(arg.([]any), func(s any) bool { return j.wrong(s.(map[string]any), value, "") == "" }))
	case "required":
		return fails(isObject && slices.ContainsFunc(arg.([]any), func(k any) bool { _, ok := object[k.(string)]; return !ok }))
	case "additionalProperties":
		props := schema["properties"].(map[string]any)
		for key := range object {
			if _, ok := props[key]; !ok {
				return "unknown key " + key
			}
		}
		return ""
	}
	j.t.Fatalf("the schema has a word that this checker does not know: %s", word)
	return ""
}

// against judges a YAML text by the schema; parsed is false where it is not YAML.
func (j judge) against(text []byte) (why string, parsed bool) {
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return err.Error(), false
	}
	data, err := json.Marshal(raw)
	if err != nil {
		return err.Error(), false
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err.Error(), false
	}
	return j.wrong(j.root, value, ""), true
}

func newJudge(t *testing.T) judge {
	t.Helper()
	text, err := os.ReadFile("../../triplicate.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	j := judge{t: t}
	if err := json.Unmarshal(text, &j.root); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestSchemaTakesWhatLoads: the example, the sample and the tests' own.
func TestSchemaTakesWhatLoads(t *testing.T) {
	j := newJudge(t)
	good := map[string]string{
		"base": base, "sample": sampleOf("nvme", "nvme/personal", "hdd", "hdd/my films"),
		"all, a credential, and a lonely time": base + "  - { dataset: nvme/x, frequency: disabled }\nlatest_end: { proxmox: 05:00 }\nproxmox:\n  frequency: disabled\n  keep: { daily: all }\n" +
			"  pve: { urls: [ \"https://[::1]:8006/\" ], token: { credential: pve }, storage: pbs }\n  pbs: { url: \"https://pbs\", token: { credential: pbs }, datastore: d }\n",
	}
	files, _ := filepath.Glob("../../*/*.yaml")
	for _, file := range append(files, "../../triplicate.example.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(strings.NewReader(string(text)), file); err == nil {
			good[file] = string(text)
		}
	}
	for name, text := range good {
		load(t, text)
		if why, _ := j.against([]byte(text)); why != "" {
			t.Errorf("%s: %s", name, why)
		}
	}
	first, _, _ := strings.Cut(good["../../triplicate.example.yaml"], "\n")
	if want := strings.TrimSuffix(schemaLine, "\n"); first != want {
		t.Errorf("the example begins with %q, want %q", first, want)
	}
}

// TestSchemaRefusesWhatIsWrong, as far as a schema can see it: beyond-the-schema.txt
// lists those whose fault lies between keys, or in what an address or zone means.
// Those only triplicate check finds.
func TestSchemaRefusesWhatIsWrong(t *testing.T) {
	j := newJudge(t)
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if why, parsed := j.against(text); parsed && why == "" {
			passed = append(passed, strings.TrimSuffix(filepath.Base(file), ".yaml"))
		}
	}
	golden(t, "testdata/beyond-the-schema.txt", strings.Join(passed, "\n")+"\n")
	if len(passed)*2 > len(files) {
		t.Errorf("the schema lets %d of %d wrong configs pass", len(passed), len(files))
	}
}
