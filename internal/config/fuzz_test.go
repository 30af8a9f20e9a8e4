package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoad: no text makes Load panic; an error points into the text; and what
// loads makes a policy with unique names and every stage's end.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/wrong/*.yaml")
	for _, file := range append(files, "../../triplicate.example.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(base)
	f.Fuzz(func(t *testing.T, text string) {
		// The fuzzer itself waits for ever.
		hung := time.AfterFunc(20*time.Second, func() { panic("load hangs on:\n" + text) })
		c, err := Load(strings.NewReader(text), "fuzz.yaml")
		hung.Stop()
		var wrong *Error
		if errors.As(err, &wrong) {
			lines := strings.Split(text, "\n")
			for _, p := range wrong.Problems {
				if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Width < 1 || p.Fix == "" {
					t.Fatalf("problem is nowhere: %+v", p)
				}
			}
		}
		if err != nil {
			return
		}
		p := c.Policy()
		if p.Zone == nil || p.Host == "" || len(p.Rows) == 0 || len(p.LatestEnd) != 4 {
			t.Fatalf("half a policy: %+v", p)
		}
		seen := map[string]bool{}
		for _, r := range p.Replicas {
			if seen[r.Name] || kinds["name"].check(r.Name) != nil {
				t.Fatalf("replica name %q", r.Name)
			}
			seen[r.Name] = true
		}
	})
}

// The parser recurses, and its time grows with the square of the depth.
func TestDeepNesting(t *testing.T) {
	for _, unit := range []string{"[", "{a: ", "- ", "? ", "a: b\n", "!!x ", "&a ", "[[{", "\"", "'", "|", ": ", "*a ", "<<: ", "a: {\n", "- x\n", "a:\n  - "} {
		text := strings.Repeat(unit, maxSize/len(unit))
		began := time.Now()
		if _, err := Load(strings.NewReader(text), "deep.yaml"); err == nil {
			t.Errorf("%q repeated: loaded", unit)
		}
		if took := time.Since(began); took > 20*time.Second { // a slow machine; without the limits it was minutes
			t.Errorf("%q repeated: took %v", unit, took)
		} else {
			t.Logf("%q repeated: %v", unit, took)
		}
	}
}
