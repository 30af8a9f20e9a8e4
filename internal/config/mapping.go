package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// field is one key of a struct.
type field struct {
	name     string
	required bool
	index    int
	tag      reflect.StructTag
}

// fields lists the keys of a struct. backup's own types have json tags only.
func fields(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		text, ok := tag.Lookup("yaml")
		if !ok {
			text, _, _ = strings.Cut(tag.Get("json"), ",")
		}
		if t == keepType {
			tag = `tier:"yes"`
		}
		name, option, _ := strings.Cut(text, ",")
		if name == "" {
			continue
		}
		all = append(all, field{name, option == "required", i, tag})
	}
	return all
}

func names(t reflect.Type) []string {
	var all []string
	for _, f := range fields(t) {
		all = append(all, f.name)
	}
	return all
}

// entries are the keys of a mapping in the order of the file.
func entries(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// mapping decodes keys into the struct v; unknown, repeated and missing ones are
// problems.
func (d *decoder) mapping(node ast.Node, v reflect.Value, path string) {
	known := fields(v.Type())
	list, ok := entries(node)
	if !ok {
		d.mistyped(node, path, "keys with values",
			"Write "+strings.Join(names(v.Type()), ", ")+", each as key: value.")
		return
	}
	seen := map[string]place{}
	for _, e := range list {
		at := d.src.place(e.Key.GetToken())
		name, isText := e.Key.(*ast.StringNode)
		if !isText {
			d.src.add(at, fault{message: "a key must be plain text",
				fix: "Write one of " + strings.Join(names(v.Type()), ", ") + "."})
			continue
		}
		if first, twice := seen[name.Value]; twice {
			d.src.add(at, fault{message: fmt.Sprintf("%s is here twice, first on line %d", name.Value, first.line),
				fix: "Keep one of them: which one holds would be a guess."})
			continue
		}
		seen[name.Value] = at
		f, ok := find(known, name.Value)
		if !ok {
			d.src.add(at, unknownKey(v.Type(), name.Value, path))
			continue
		}
		key := join(path, f.name)
		d.spots[key] = spot{key: at, value: d.node(e.Value)}
		if _, null := e.Value.(*ast.NullNode); null {
			// Nothing is written where the value should be.
			d.spots[key] = spot{key: at, value: at}
		}
		d.value(e.Value, v.Field(f.index), key, f.tag)
	}
	var missing []string
	for _, f := range known {
		if _, ok := seen[f.name]; f.required && !ok {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		d.src.add(d.where(path), fault{
			message: fmt.Sprintf("%s has no %s", called(path), strings.Join(missing, " and no ")),
			fix:     "Add what is missing; docs/configuration.md says what it means."})
	}
}

// called is what a message calls the mapping at path.
func called(path string) string {
	if strings.HasSuffix(path, "]") {
		return "this entry of " + last(path)
	}
	return last(path)
}

func find(list []field, name string) (field, bool) {
	for _, f := range list {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// unknownKey says which key was probably meant, or where the key belongs.
func unknownKey(t reflect.Type, name, path string) fault {
	f := fault{message: fmt.Sprintf("unknown key %q", shorten(name))}
	if f.mean = nearest(name, names(t)); f.mean != "" {
		f.fix = "Correct or delete it: a key that is not understood would be a setting that does not hold."
		return f
	}
	f.fix = "Keys here are " + strings.Join(names(t), ", ") + "."
	if home := homeOf(reflect.TypeFor[Config](), name, ""); home != "" && home != path {
		f.fix = fmt.Sprintf("It belongs under %s. ", home) + f.fix
	}
	return f
}

// homeOf finds the first section that has this key.
func homeOf(t reflect.Type, name, path string) string {
	for _, f := range fields(t) {
		below := t.Field(f.index).Type
		for below.Kind() == reflect.Pointer || below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() != reflect.Struct || below == frequencyType || below == timeType || below == secretType {
			continue
		}
		if _, ok := find(fields(below), name); ok {
			return join(path, f.name)
		}
		if home := homeOf(below, name, join(path, f.name)); home != "" {
			return home
		}
	}
	return ""
}

// node is the place where a node begins. The parser's own token of a mapping in
// block style is its first colon.
func (d *decoder) node(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return d.src.place(n.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return d.src.place(n.Key.GetToken())
	}
	return d.src.place(n.GetToken())
}
