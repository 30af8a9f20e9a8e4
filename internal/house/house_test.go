// Package house_test measures the house: sizes, docs, and who imports whom.
package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root         = "../.."
	maxFileLines = 400
	maxFuncLines = 80
)

// forbidden says what a package's production code must not import, by prefix:
// the same rules as in .golangci.yml, checked without a linter.
var forbidden = map[string][]string{
	"internal/backup":  {"triplicate/", "go.temporal.io", "github.com/"},
	"internal/config":  {"triplicate/activities", "triplicate/workflows", "triplicate/schedules", "triplicate/internal/app", "triplicate/internal/zfs", "go.temporal.io"},
	"internal/zfs":     {"triplicate/activities", "triplicate/workflows", "triplicate/schedules", "triplicate/internal/app", "triplicate/internal/config", "go.temporal.io"},
	"internal/pve":     {"triplicate/activities", "triplicate/workflows", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/pbs", "triplicate/internal/zfs", "triplicate/internal/s3", "go.temporal.io"},
	"internal/pbs":     {"triplicate/activities", "triplicate/workflows", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/pve", "triplicate/internal/zfs", "triplicate/internal/s3", "go.temporal.io"},
	"internal/s3":      {"triplicate/activities", "triplicate/workflows", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/offsite", "triplicate/internal/zfs", "go.temporal.io"},
	"internal/offsite": {"triplicate/activities", "triplicate/workflows", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/s3", "triplicate/internal/zfs", "go.temporal.io"},
	"internal/pin":     {"triplicate/", "go.temporal.io"},
	"internal/wait":    {"triplicate/", "go.temporal.io"},
	"activities":       {"triplicate/workflows", "triplicate/schedules", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/zfs", "triplicate/internal/pve", "triplicate/internal/pbs", "triplicate/internal/s3", "triplicate/internal/offsite", "go.temporal.io/server"},
	"workflows":        {"triplicate/schedules", "triplicate/internal/app", "triplicate/internal/config", "triplicate/internal/zfs", "go.temporal.io/server", "os", "net"},
	"schedules":        {"triplicate/internal/app", "triplicate/internal/zfs", "go.temporal.io/server"},
	"worker":           {"triplicate/internal/zfs", "triplicate/internal/temporald", "go.temporal.io/server"},
	"starter":          {"triplicate/internal/zfs", "triplicate/internal/temporald", "triplicate/internal/app/engine", "go.temporal.io/server"},
	"internal/app":     {"triplicate/internal/temporald", "go.temporal.io/server"},
}

// sources parses every Go file of the repository's main module.
func sources(t *testing.T, visit func(path string, fset *token.FileSet, f *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "tools" || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		visit(rel, fset, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSizes(t *testing.T) {
	var files, funcs []int
	sources(t, func(path string, fset *token.FileSet, f *ast.File) {
		lines := fset.Position(f.FileEnd).Line
		if !strings.HasSuffix(path, "_test.go") {
			files = append(files, lines)
		}
		if lines > maxFileLines {
			t.Errorf("%s has %d lines, at most %d", path, lines, maxFileLines)
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil || strings.HasSuffix(path, "_test.go") {
				continue
			}
			n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			funcs = append(funcs, n)
			if n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, at most %d", path, fn.Name.Name, n, maxFuncLines)
			}
		}
	})
	slices.Sort(files)
	slices.Sort(funcs)
	t.Logf("%d files, median %d lines; %d functions, median %d, p90 %d",
		len(files), files[len(files)/2], len(funcs), funcs[len(funcs)/2], funcs[len(funcs)*9/10])
}

// simulates are programs that stand in for other servers; none is released.
var simulates = map[string]bool{"lab/sim": true, "demo": true}

func TestReleasedBinariesLinkNoFake(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../worker", "../../starter").Output()
	if err != nil || !strings.Contains(string(out), "triplicate/internal/zfs\n") {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for _, fake := range []string{"zfstest", "pvetest", "pbstest", "s3test"} {
		if strings.Contains(string(out), "/"+fake) {
			t.Errorf("the daemon or the command links %s", fake)
		}
	}
}

func TestImports(t *testing.T) {
	sources(t, func(path string, _ *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		for _, imp := range f.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			for _, fake := range []string{"zfstest", "pvetest", "pbstest", "s3test"} {
				if strings.Contains(name, "/"+fake) && !strings.Contains(dir, fake) && !simulates[dir] && path != "internal/app/zfs_fake.go" {
					t.Errorf("%s links the fake %s", path, name)
				}
			}
			for _, bad := range forbidden[dir] {
				if name == bad || strings.HasPrefix(name, strings.TrimSuffix(bad, "/")+"/") {
					t.Errorf("%s must not import %s", path, name)
				}
			}
		}
	})
}

func TestExportedNamesAreDocumented(t *testing.T) {
	sources(t, func(path string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Name.IsExported() && fn.Doc == nil && (fn.Recv == nil || exportedReceiver(fn)) {
				t.Errorf("%s: %s has no comment", fset.Position(fn.Pos()), fn.Name.Name)
			}
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && gen.Doc == nil && ts.Doc == nil {
					t.Errorf("%s: type %s has no comment", fset.Position(ts.Pos()), ts.Name.Name)
				}
			}
		}
	})
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	expr := fn.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	id, ok := expr.(*ast.Ident)
	return ok && id.IsExported()
}
