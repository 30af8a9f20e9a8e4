package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/configuration.md")

// wantLine is a comment at the end of a wrong config: where each caret belongs
// and the token above it. It is written by hand, so that an update of the golden
// files cannot move a caret unnoticed.
var wantLine = regexp.MustCompile(`(?m)^# want (\d+:\d+) (.+)$`)

func TestWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("corpus: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Load(bytes.NewReader(text), filepath.Base(file))
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("got config %+v, error %v", c, err)
			}
			var want, got []string
			for _, m := range wantLine.FindAllStringSubmatch(string(text), -1) {
				want = append(want, m[1]+" "+strings.ReplaceAll(m[2], "<tab>", "\t"))
			}
			lines := strings.Split(string(text), "\n")
			for _, p := range wrong.Problems {
				got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, string([]rune(lines[p.Line-1])[p.Column-1:][:p.Width])))
				caretUnderToken(t, p)
				if p.Fix == "" || p.Message == "" {
					t.Errorf("%d:%d has no message or no way out", p.Line, p.Column)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("carets (-want +got):\n%s\n%v", diff, err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// caretUnderToken reads the drawn excerpt back: the carets begin in the column
// that the problem names.
func caretUnderToken(t *testing.T, p Problem) {
	t.Helper()
	line, carets, _ := strings.Cut(p.Excerpt, "\n")
	prefix := fmt.Sprintf("%4d | ", p.Line)
	if !strings.HasPrefix(line, prefix) {
		t.Errorf("excerpt %q does not begin with its line's number", line)
	}
	if got := len([]rune(carets)) - len(strings.TrimLeft(carets, " |")) - len("     | ") + 1; got != p.Column && p.Column < excerptWidth*3/4 {
		t.Errorf("caret drawn in column %d, want %d:\n%s", got, p.Column, p.Excerpt)
	}
	if n := strings.Count(carets, "^"); n != p.Width && p.Column+p.Width < excerptWidth {
		t.Errorf("%d carets, want %d:\n%s", n, p.Width, p.Excerpt)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test -update rewrites it:\n%s", file, diff)
	}
}
