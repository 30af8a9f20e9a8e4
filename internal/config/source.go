package config

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The parser recurses and copies the path of every node, so its time and memory
// grow with the square of size and depth: 128 KiB of "[" took minutes and
// gigabytes. A config of 500 rows has 50 KiB and a depth of 5.
const (
	maxSize  = 64 << 10
	maxDepth = 64
)

// source is the text of a config and what was found wrong with it.
type source struct {
	name     string
	lines    []string
	text     string
	masks    []place // never to be printed
	problems []Problem
}

func readSource(r io.Reader, name string) (*source, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d KiB, so it cannot be a triplicate config", name, maxSize>>10)
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return &source{name: name, text: text, lines: strings.Split(text, "\n")}, nil
}

// clean notes characters that YAML or an editor would show as something else.
// The parser's own columns are off after a tab, so it does not get to see one.
func (s *source) clean() bool {
	for i, line := range s.lines {
		column := 0
		for off, r := range line {
			column++
			at := place{i + 1, column, 1}
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[off:], "\ufffd"):
				s.add(at, fault{message: "this is not UTF-8 text", fix: "Save the file as UTF-8."})
			case r == '\t':
				s.add(at, fault{message: "a tab", fix: "Write spaces: editors disagree on how wide a tab is, and YAML forbids it."})
			case r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == '\ufeff':
				s.add(at, fault{message: fmt.Sprintf("a control character, U+%04X", r), fix: "Delete it."})
			default:
				continue
			}
			break // one per line
		}
	}
	return len(s.problems) == 0
}

// shallow refuses absurd nesting before the parser sees it. It counts brackets in
// text and comments too, which no real file has 64 unclosed of.
func (s *source) shallow() bool {
	open := 0
	for i, line := range s.lines {
		head := len(line) - len(strings.TrimLeft(line, " -?"))
		for column, r := range []rune(line) {
			switch r {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			}
			if open > maxDepth || head > 4*maxDepth {
				s.add(place{i + 1, column + 1, 1}, fault{message: "nested too deeply", fix: "Begin again from triplicate init, or triplicate.example.yaml."})
				return false
			}
		}
	}
	return true
}

// parse is the file's one mapping; nil with a problem noted if there is none.
func (d *decoder) parse() ast.Node {
	s := d.src
	if !s.clean() || !s.shallow() {
		return nil
	}
	file, err := parseYAML(s.text)
	if err != nil {
		d.syntax(err)
		return nil
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if len(docs) == 1 && doc.Body != nil {
			s.add(d.node(doc.Body), fault{message: "a second document begins here",
				fix: "One file is one config: delete the line of three dashes or dots above, or what follows it."})
			return nil
		}
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	if len(docs) == 0 {
		s.add(place{1, 1, 1}, fault{message: "the config is empty",
			fix: "triplicate init writes one from the pools of this machine; triplicate.example.yaml is a whole one."})
		return nil
	}
	return docs[0]
}

// parseYAML keeps a bug of the parser from taking the daemon down with it: the
// file is the operator's, and reload reads it while backups run.
func parseYAML(text string) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood as YAML: %v", p)
		}
	}()
	// Duplicate keys are ours to report: the parser stops at the first.
	return parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
}

// syntax notes what the parser stumbled over.
func (d *decoder) syntax(err error) {
	at, message := place{1, 1, 1}, err.Error()
	var e interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &e) {
		message = e.GetMessage()
		if t := e.GetToken(); t != nil {
			at = d.src.place(t)
		}
	}
	fix := "Correct the YAML here or on the line above: indentation, a missing quote, bracket or comma."
	if strings.Contains(message, "reserved character") {
		fix = "Put the value in quotes."
	}
	d.src.add(at, fault{message: message, fix: fix})
}

// place is where a token is written, as far as its first line goes.
func (s *source) place(t *token.Token) place {
	p := place{line: max(1, t.Position.Line), column: max(1, t.Position.Column)}
	if p.line > len(s.lines) {
		p.line = len(s.lines)
	}
	rest := []rune(s.lines[p.line-1])
	p.column = min(p.column, len(rest)+1)
	rest = rest[p.column-1:]
	if end := quoted(rest); end > 0 {
		p.width = end
		return p
	}
	written := []rune(strings.TrimSpace(t.Origin))
	for p.width < len(written) && p.width < len(rest) && written[p.width] == rest[p.width] {
		p.width++
	}
	p.width = max(p.width, 1)
	return p
}

// quoted is how long the quoted text is with which the line goes on; 0 if none
// does. The parser has resolved its escapes, so its own copy is of no use here.
func quoted(line []rune) int {
	if len(line) == 0 || line[0] != '"' && line[0] != '\'' {
		return 0
	}
	for i := 1; i < len(line); i++ {
		switch {
		case line[0] == '"' && line[i] == '\\':
			i++
		case line[i] == line[0] && line[0] == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
		case line[i] == line[0]:
			return i + 1
		}
	}
	return len(line)
}
