package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in the file, and the way out.
type Problem struct {
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Width   int    `json:"width"`  // of the offending token on its line, in characters; at least 1
	Message string `json:"message"`
	Mean    string `json:"mean,omitempty"` // "did you mean", if there is a near miss
	Fix     string `json:"fix"`            // what to do, a sentence
	Excerpt string `json:"excerpt"`        // the line and a caret under the token; secrets are masked
}

// Error is every problem of one file, in the order of the file.
type Error struct {
	File     string    `json:"file"`
	Problems []Problem `json:"problems"`
}

// Error gives file:line:column, excerpt and fix of each problem.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s\n%s", e.File, p.Line, p.Column, p.Message, p.Excerpt)
		if p.Mean != "" {
			fmt.Fprintf(&b, "\n      did you mean %q?", p.Mean)
		}
		fmt.Fprintf(&b, "\n      %s", p.Fix)
	}
	return b.String()
}

// place is a token's place on one line.
type place struct{ line, column, width int }

// fault is what is wrong with a value, before its place is known.
type fault struct {
	message, mean, fix string
	secret             bool // the value may hold one: mask it in excerpts
}

// add notes a problem.
func (s *source) add(at place, f fault) {
	s.problems = append(s.problems, Problem{
		Line: at.line, Column: at.column, Width: at.width,
		Message: f.message, Mean: f.mean, Fix: f.fix,
	})
}

// err is the error with all problems, nil if there are none. Excerpts are drawn
// only here, when every secret's place is known.
func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for i := range s.problems {
		p := &s.problems[i]
		p.Excerpt, p.Width = s.excerpt(place{p.Line, p.Column, p.Width})
	}
	return &Error{File: s.name, Problems: s.problems}
}

// excerptWidth is how much of a line is shown.
const excerptWidth = 100

func (s *source) excerpt(at place) (text string, width int) {
	line := s.shown(at.line)
	start := min(at.column-1, len(line))
	width = max(1, min(at.width, len(line)-start))
	from := 0
	if len(line) > excerptWidth && start > excerptWidth*3/4 {
		from = start - excerptWidth/4
	}
	to := min(len(line), from+excerptWidth)
	carets := max(1, min(width, to-start))
	return fmt.Sprintf("%4d | %s\n     | %s%s", at.line,
		strings.TrimRight(string(line[from:to]), " "),
		strings.Repeat(" ", start-from), strings.Repeat("^", carets)), width
}

// secretish finds a value written behind a key that names a secret, so that an
// excerpt of a file that does not even parse does not print it.
var secretish = regexp.MustCompile(
	`(?i)(?:token|secret|passw[a-z]*|credentials|[a-z_-]*key)["']?\s*[:=]\s*([^\s{\[#][^,}#]*)`)

// userPart finds the user and password of an address.
var userPart = regexp.MustCompile(`://([^/\s]+)@`)

// shown is a line as it may be printed: no control characters, no secrets.
func (s *source) shown(line int) []rune {
	if line > len(s.lines) {
		return nil
	}
	text := []rune(s.lines[line-1])
	for i, r := range text {
		if r == '\t' {
			text[i] = ' '
		} else if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			text[i] = '\ufffd'
		}
	}
	for _, m := range s.masks {
		if m.line == line {
			mask(text, m.column-1, m.column-1+m.width)
		}
	}
	plain := string(text)
	found := secretish.FindAllStringSubmatchIndex(plain, -1)
	for _, m := range append(found, userPart.FindAllStringSubmatchIndex(plain, -1)...) {
		from := len([]rune(plain[:m[2]]))
		mask(text, from, from+len([]rune(strings.TrimRight(plain[m[2]:m[3]], " "))))
	}
	return text
}

func mask(text []rune, from, to int) {
	for i := max(0, from); i < min(to, len(text)); i++ {
		text[i] = '*'
	}
}
