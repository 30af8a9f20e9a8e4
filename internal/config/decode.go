package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"triplicate/internal/backup"
)

// decoder fills a Config from the syntax tree and remembers where everything was
// written, so that a check made later can still point at it.
type decoder struct {
	src   *source
	spots map[string]spot // by path: snapshots[0].keep.daily
	bad   map[string]bool // paths that have a problem; checks leave them out
}

// spot is where a key and its value are written.
type spot struct{ key, value place }

// fail notes a problem with the value at path, unless it has one already: the
// first is the most basic one, what follows from it is noise.
func (d *decoder) fail(path string, f fault) {
	if d.bad[path] {
		return
	}
	d.bad[path] = true
	if f.secret {
		d.src.masks = append(d.src.masks, d.where(path))
	}
	d.src.add(d.where(path), f)
}

// where is the place of the value at path, or of the nearest thing around it
// that is written in the file.
func (d *decoder) where(path string) place {
	for path != "" {
		if s, ok := d.spots[path]; ok {
			return s.value
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.spots[""].value
}

// ok says that the value at each path is written and has no problem so far.
func (d *decoder) ok(paths ...string) bool {
	for _, p := range paths {
		if _, written := d.spots[p]; !written || d.bad[p] {
			return false
		}
	}
	return true
}

func (d *decoder) file(root ast.Node, c *Config) {
	d.spots[""] = spot{value: d.node(root)}
	d.mapping(root, reflect.ValueOf(c).Elem(), "")
}

var (
	frequencyType = reflect.TypeFor[backup.Frequency]()
	timeType      = reflect.TypeFor[backup.TimeOfDay]()
	keepType      = reflect.TypeFor[backup.Keep]()
	secretType    = reflect.TypeFor[SecretRef]()
)

// value decodes node into v. is names the form that text must have.
func (d *decoder) value(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(path, fault{message: "YAML anchors, aliases and tags are not used here",
			fix: "Write the value itself: a config is read at three in the morning."})
		return
	case *ast.NullNode:
		d.fail(path, fault{message: fmt.Sprintf("%s has no value", last(path)),
			fix: "Write a value, or delete the line."})
		return
	}
	switch v.Type() {
	case frequencyType:
		d.frequency(node, v, path, tag.Get("is") == "daily")
		return
	case timeType:
		if hour, ok := node.(*ast.IntegerNode); ok {
			t, bad := parseTime(fmt.Sprintf("%02s:00", hour.GetToken().Value))
			if mean := t.String(); bad == nil {
				d.mistyped(node, path, "a time such as 02:30", "Write hours and minutes as HH:MM.", mean)
				return
			}
		}
		if text, ok := d.text(node, path, "a time such as 02:30"); ok {
			t, bad := parseTime(text)
			d.put(v, path, reflect.ValueOf(t), bad)
		}
		return
	case secretType:
		d.secret(node, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, v.Elem(), path, tag)
	case reflect.Struct:
		d.mapping(node, v, path)
	case reflect.Slice:
		d.list(node, v, path, tag)
	case reflect.String:
		if text, ok := d.text(node, path, "text"); ok {
			d.put(v, path, reflect.ValueOf(text), kinds[tag.Get("is")].check(text))
		}
	case reflect.Int:
		if v.CanAddr() && tag.Get("tier") != "" {
			d.tier(node, v, path)
			return
		}
		d.number(node, v, path, tag)
	case reflect.Float64:
		d.number(node, v, path, tag)
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			d.mistyped(node, path, "true or false", "Write true or false, without quotes.", truths[written(node)])
			return
		}
		v.SetBool(b.Value)
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

// put sets v unless the value has a fault.
func (d *decoder) put(v reflect.Value, path string, value reflect.Value, bad *fault) {
	if bad != nil {
		d.fail(path, *bad)
		return
	}
	v.Set(value)
}

func (d *decoder) list(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.mistyped(node, path, "a list", "Write one entry per line, each behind a dash, or [one, two].")
		return
	}
	for i, n := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.spots[at] = spot{value: d.node(n)}
		elem := reflect.New(v.Type().Elem())
		if e, ok := elem.Interface().(interface{ setDefaults() }); ok {
			e.setDefaults()
		}
		// Appended even if it is bad, so that indexes stay those of the file.
		d.value(n, elem.Elem(), at, tag)
		v.Set(reflect.Append(v, elem.Elem()))
	}
}

// text is a scalar that is written as text; want says what it should have been.
func (d *decoder) text(node ast.Node, path, want string) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		d.mistyped(node, path, want, "Write it on one line.")
	default:
		fix := "Write " + want + "."
		if want == "text" {
			fix = "Write text; put it in quotes if it has a colon or looks like a number."
		}
		d.mistyped(node, path, want, fix)
	}
	return "", false
}

func (d *decoder) number(node ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	_, whole := node.(*ast.IntegerNode)
	_, real := node.(*ast.FloatNode)
	if v.Kind() == reflect.Int && !whole || !whole && !real {
		mean := ""
		if _, err := strconv.Atoi(written(node)); err == nil {
			mean = written(node)
		}
		d.mistyped(node, path, "a number", "Write a number in plain digits, without quotes or units.", mean)
		return
	}
	text := node.GetToken().Value
	f, err := strconv.ParseFloat(text, 64)
	low, _ := strconv.ParseFloat(tag.Get("min"), 64)
	high, _ := strconv.ParseFloat(tag.Get("max"), 64)
	switch {
	case err != nil || strings.ContainsAny(text, "_xXoObpP"):
		d.mistyped(node, path, "a number", "Write a number in plain digits, without quotes or units.")
	case f < low || f > high || f != f:
		d.fail(path, fault{message: fmt.Sprintf("%s is %s, but must be %s to %s", last(path), text, tag.Get("min"), tag.Get("max")),
			fix: outOfRange(last(path), tag)})
	case v.Kind() == reflect.Int:
		v.SetInt(int64(f))
	default:
		v.SetFloat(f)
	}
}

func outOfRange(key string, tag reflect.StructTag) string {
	if key == "retention_days" {
		return "Write 90 to 3650: the history of a night must outlive the quarter in which somebody asks about it."
	}
	return fmt.Sprintf("Write a number from %s to %s.", tag.Get("min"), tag.Get("max"))
}

// truths are what YAML of old, and people, write for true and false.
var truths = map[string]string{"yes": "true", "on": "true", "true": "true", "1": "true", "no": "false", "off": "false", "false": "false", "0": "false"}

// written is a scalar's text, in lower case; empty if it is none.
func written(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return strings.ToLower(n.Value)
	case *ast.IntegerNode:
		return n.GetToken().Value
	}
	return ""
}

// mistyped notes a value of another type than it should be; mean may say what was
// probably meant.
func (d *decoder) mistyped(node ast.Node, path, want, fix string, mean ...string) {
	got := "something else"
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		got = "keys with values"
	case *ast.SequenceNode:
		got = "a list"
	case *ast.StringNode:
		got = fmt.Sprintf("the text %q", shorten(n.Value))
	case *ast.LiteralNode:
		got = "text of several lines"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		got = "the number " + shorten(n.GetToken().Value)
	case *ast.BoolNode:
		got = "the truth value " + n.GetToken().Value
	}
	d.fail(path, fault{message: fmt.Sprintf("%s must be %s, not %s", last(path), want, got), fix: fix, mean: strings.Join(mean, "")})
}

// last is the last key of a path, without an index: what a message calls it.
func last(path string) string {
	path = path[strings.LastIndex(path, ".")+1:]
	key, _, _ := strings.Cut(path, "[")
	if key == "" {
		return "the config"
	}
	return key
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}
