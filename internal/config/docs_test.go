package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
)

// docsIntro is the part of docs/configuration.md that no struct can say.
const docsIntro = `# Configuration

<!-- Written by: go test ./internal/config -update -->

Triplicate reads one YAML file, /etc/triplicate/triplicate.yaml. [triplicate.example.yaml](../triplicate.example.yaml)
is a whole one, ` + "`triplicate init`" + ` writes one from a machine's pools, and this page is every key. With the file's first
line, an editor that knows yaml-language-server completes and checks it by [triplicate.schema.json](../triplicate.schema.json)
(` + "`triplicate schema`" + ` prints it); what lies between keys only ` + "`triplicate check`" + ` sees.

The file is strict. An unknown, repeated or misspelt key, a value of another type and settings that contradict each
other are errors with file:line:column, a caret and what to do; nothing is guessed. Tabs, anchors, aliases and
second documents are not used. All errors of a file are shown at once.

## Forms

**Frequency**: exactly ` + "`hourly`, `daily at HH:MM` or `disabled`" + `. Replicas, proxmox and offsite are stages of the night, so
they are daily or disabled.

**Keep**: how many calendar slots (in ` + "`timezone`" + `) keep their newest snapshot, by tier: ` + "`{ hourly, daily, weekly, monthly,\nyearly }`, each a number from 1 or `all`" + `. A tier left out keeps nothing by itself. Tiers add up.

**Secrets** are named, never written: ` + "`{ file: /absolute/path }` or `{ credential: NAME }`" + `, a systemd credential in
$CREDENTIALS_DIRECTORY. A file that group or others have access to, or that is empty, is refused when it is read.

**Disabled** rows take no snapshots and prune none. They still count: the most specific row wins, so a disabled row
hides its datasets from the rows above it, and it is listed like any other.

## The table

A row covers its dataset and everything below it, as it is at each run. The most specific row alone decides, its excludes
included: what it leaves out does not fall back to a wider row. Datasets under no row are listed by ` + "`triplicate check`" + `.

A replica never gets snapshots of its own: one of ours on a target breaks a later receive. The row above the target
says how long received snapshots stay. A row on or below a target is allowed only as ` + "`frequency: disabled`" + ` with a keep,
which then is that replica's. A disabled replica's target is left alone by the rows above it.

## The night

A night runs from noon to noon, so 23:00 comes before 01:30. Times must follow the order of the stages: snapshot,
proxmox, replicate, offsite. A stage starts at its time, when the stages before it have ended or passed their latest
end.

`

// The page is made of the structs, their tags and comments, and of Default, so
// that a key cannot be without a description nor a default be another one.
func TestDocs(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := parser.ParseFile(token.NewFileSet(), "secret.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	meaning := fieldComments(file)
	for k, v := range fieldComments(secret) {
		meaning[k] = v
	}
	var b strings.Builder
	b.WriteString(docsIntro)
	offsite := Offsite{}
	offsite.setDefaults()
	section(t, &b, meaning, "Top level", reflect.ValueOf(Default()))
	section(t, &b, meaning, "snapshots[]", reflect.ValueOf(Row{}))
	section(t, &b, meaning, "replicas[]", reflect.ValueOf(Replica{}))
	section(t, &b, meaning, "proxmox", reflect.ValueOf(Proxmox{}))
	section(t, &b, meaning, "proxmox.pve", reflect.ValueOf(PVE{}))
	section(t, &b, meaning, "proxmox.pbs", reflect.ValueOf(PBS{}))
	section(t, &b, meaning, "offsite[]", reflect.ValueOf(offsite))
	section(t, &b, meaning, "latest_end", reflect.ValueOf(LatestEnd{}))
	section(t, &b, meaning, "temporal", reflect.ValueOf(Default().Temporal))
	section(t, &b, meaning, "Every secret", reflect.ValueOf(SecretRef{}))
	if n := strings.Count(b.String(), "\n## "); n != 13 {
		t.Errorf("%d sections: a new struct needs one here", n)
	}
	for _, st := range structs(reflect.TypeFor[Config](), map[reflect.Type]bool{}) {
		if !strings.Contains(b.String(), "| `"+fields(st)[0].name+"` |") {
			t.Errorf("%v has no section", st)
		}
	}
	golden(t, "../../docs/configuration.md", strings.TrimRight(b.String(), "\n")+"\n")
}

// structs are all of this package that a file can hold.
func structs(typ reflect.Type, seen map[reflect.Type]bool) []reflect.Type {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() != reflect.TypeFor[Config]().PkgPath() {
		return nil
	}
	seen[typ] = true
	all := []reflect.Type{typ}
	for i := range typ.NumField() {
		all = append(all, structs(typ.Field(i).Type, seen)...)
	}
	return all
}

// fieldComments are the doc comments of struct fields, by Type.Field.
func fieldComments(file *ast.File) map[string]string {
	all := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if st, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range st.Fields.List {
				for _, name := range f.Names {
					all[spec.Name.Name+"."+name.Name] = strings.TrimSpace(strings.ReplaceAll(f.Doc.Text(), "\n", " "))
				}
			}
		}
		return false
	})
	return all
}

func section(t *testing.T, b *strings.Builder, meaning map[string]string, title string, v reflect.Value) {
	fmt.Fprintf(b, "## %s\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n", title)
	for _, f := range fields(v.Type()) {
		field := v.Type().Field(f.index)
		text := meaning[v.Type().Name()+"."+field.Name]
		if text == "" {
			t.Errorf("%s.%s has no comment", v.Type(), field.Name)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.name, typeName(t, field.Type, f.tag), defaultOf(v.Field(f.index), f), text)
	}
	b.WriteString("\n")
}

func typeName(t *testing.T, typ reflect.Type, tag reflect.StructTag) string {
	switch typ {
	case frequencyType:
		if tag.Get("is") == "daily" {
			return "`daily at HH:MM` or `disabled`"
		}
		return "frequency"
	case keepType:
		return "keep"
	case timeType:
		return "HH:MM"
	case secretType:
		return "secret"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return typeName(t, typ.Elem(), tag)
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Struct {
			return "list"
		}
		return "list of " + typeName(t, typ.Elem(), tag)
	case reflect.Struct:
		return "section"
	case reflect.String:
		is := tag.Get("is")
		if is == "" {
			return "text"
		}
		if kinds[is].what == "" {
			t.Errorf("no kind %q", is)
		}
		return strings.TrimPrefix(strings.TrimPrefix(kinds[is].what, "an "), "a ")
	case reflect.Int, reflect.Float64:
		return "number " + tag.Get("min") + " to " + tag.Get("max")
	case reflect.Bool:
		return "true or false"
	}
	t.Errorf("no name for %v", typ)
	return ""
}

func defaultOf(v reflect.Value, f field) string {
	switch {
	case f.required:
		return "required"
	case v.IsZero() && v.Kind() == reflect.Bool:
		return "`false`"
	case v.IsZero() || v.Kind() == reflect.Struct:
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// Every tag names a form that exists, every number has bounds.
func TestTags(t *testing.T) {
	for _, st := range structs(reflect.TypeFor[Config](), map[reflect.Type]bool{}) {
		for i := range st.NumField() {
			f := st.Field(i)
			typ := f.Type
			for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
				typ = typ.Elem()
			}
			is := f.Tag.Get("is")
			switch {
			case typ.Kind() == reflect.String && st != secretType && kinds[is].what == "":
				t.Errorf("%v.%s has no form", st, f.Name)
			case (typ.Kind() == reflect.Int || typ.Kind() == reflect.Float64) && (f.Tag.Get("min") == "" || f.Tag.Get("max") == ""):
				t.Errorf("%v.%s has no bounds", st, f.Name)
			}
		}
	}
	if len(fields(keepType)) != 5 {
		t.Errorf("keep has tiers %v: the docs name five", names(keepType))
	}
}
