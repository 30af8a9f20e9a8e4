package pve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Perl does not tell numbers from text, so the same field comes as 5 and as "5",
// a guest that is named 42 as a number, and a boolean as 1, "1", 0, "" or null.

// integer is a whole number.
type integer int64

// UnmarshalJSON accepts 5, "5" and null (0).
func (i *integer) UnmarshalJSON(b []byte) error {
	text, err := scalar(b)
	if err != nil || text == "" {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	*i = integer(n)
	return err
}

// flag is a boolean.
type flag bool

// UnmarshalJSON accepts true, 1, "1", false, 0, "0", "" and null.
func (f *flag) UnmarshalJSON(b []byte) error {
	text, err := scalar(b)
	if err != nil {
		return err
	}
	switch text {
	case "1", "true":
		*f = true
	case "", "0", "false":
		*f = false
	default:
		return fmt.Errorf("%q is not a boolean", clip(text, 80))
	}
	return nil
}

// word is a text of at most 1 KiB that is safe to print.
type word string

// UnmarshalJSON accepts "a", 5 and null ("").
func (w *word) UnmarshalJSON(b []byte) error {
	text, err := scalar(b)
	*w = word(clip(text, 1<<10))
	return err
}

// line is a line of a log: at most 4 KiB, spaces as they are.
type line string

// UnmarshalJSON accepts "a", 5 and null ("").
func (l *line) UnmarshalJSON(b []byte) error {
	text, err := scalar(b)
	text = strings.Map(printable, text)
	if len(text) > 4<<10 {
		text = strings.ToValidUTF8(text[:4<<10], "") + " ..."
	}
	*l = line(text)
	return err
}

// properties is a Perl hash, or its notation as one text: a=1,b=2.
type properties string

// UnmarshalJSON accepts "a=1,b=2" and {"a":1,"b":2}.
func (p *properties) UnmarshalJSON(b []byte) error {
	if text, err := scalar(b); err == nil {
		*p = properties(clip(text, 1<<10))
		return nil
	}
	var hash map[string]word
	if err := json.Unmarshal(b, &hash); err != nil {
		return err
	}
	*p = properties(clip(joined(hash), 1<<10))
	return nil
}

// scalar is a JSON text, number, boolean or null as text.
func scalar(b []byte) (string, error) {
	switch {
	case len(b) == 0 || string(b) == "null":
		return "", nil
	case b[0] == '"':
		var text string
		err := json.Unmarshal(b, &text)
		return text, err
	case b[0] == '{' || b[0] == '[':
		return "", fmt.Errorf("%s is not a single value", clip(string(b), 80))
	default:
		return string(b), nil
	}
}

func joined(hash map[string]word) string {
	var parts []string
	for key, value := range hash {
		parts = append(parts, key+"="+string(value))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
