package backup

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// UnmarshalJSON reads what AppendJSON wrote. It checks nothing; see Check.
//
// Nearly all lines are read without encoding/json, which takes ten times as long: a
// night without changes is little more than reading a manifest.
func (e *Entry) UnmarshalJSON(b []byte) error {
	p := lineParser{rest: b}
	if entry, ok := p.entry(); ok {
		*e = entry
		return nil
	}
	type fields Entry
	var wire struct {
		fields
		Path64   []byte `json:"path64"`
		Target64 []byte `json:"target64"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	*e = Entry(wire.fields)
	if wire.Path64 != nil {
		e.Path = string(wire.Path64)
	}
	if wire.Target64 != nil {
		e.Target = string(wire.Target64)
	}
	return nil
}

// lineParser reads the one form that AppendJSON writes for plain names. At anything
// else it gives up.
type lineParser struct{ rest []byte }

func (p *lineParser) entry() (e Entry, ok bool) {
	if !p.skip(`{"path":"`) || !p.text(&e.Path) || !p.skip(`,"type":"`) || !p.text((*string)(&e.Type)) {
		return e, false
	}
	for p.skip(`,"`) {
		name, rest, found := bytes.Cut(p.rest, []byte(`":`))
		if p.rest = rest; !found || !p.field(&e, string(name)) {
			return e, false
		}
	}
	return e, p.skip("}") && len(bytes.TrimRight(p.rest, "\n")) == 0
}

func (p *lineParser) field(e *Entry, name string) bool {
	switch name {
	case "size":
		return p.number(&e.Size)
	case "mtime":
		return p.number(&e.Mtime)
	case "mode":
		return p.small(&e.Mode)
	case "uid":
		return p.small(&e.UID)
	case "gid":
		return p.small(&e.GID)
	}
	if !p.skip(`"`) {
		return false
	}
	switch name {
	case "target":
		return p.text(&e.Target)
	case "key":
		return p.text(&e.Key)
	case "version":
		return p.text(&e.Version)
	case "crc64":
		return p.text(&e.CRC64)
	case "since":
		return p.text((*string)(&e.Since))
	case "gone":
		return p.text((*string)(&e.Gone))
	}
	return false
}

func (p *lineParser) skip(s string) bool {
	if len(p.rest) < len(s) || string(p.rest[:len(s)]) != s {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

// text reads up to the closing quote; it knows no escapes.
func (p *lineParser) text(to *string) bool {
	ascii := true
	for i, c := range p.rest {
		switch {
		case c == '"':
			*to, p.rest = string(p.rest[:i]), p.rest[i+1:]
			return ascii || utf8.ValidString(*to)
		case c == '\\' || c < 0x20:
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return false
}

func (p *lineParser) number(to *int64) bool {
	i := 0
	for i < len(p.rest) && (p.rest[i] == '-' || (p.rest[i] >= '0' && p.rest[i] <= '9')) {
		i++
	}
	n, err := strconv.ParseInt(string(p.rest[:i]), 10, 64)
	*to, p.rest = n, p.rest[i:]
	return err == nil
}

func (p *lineParser) small(to *uint32) bool {
	var n int64
	if !p.number(&n) || n < 0 || n > 1<<32-1 {
		return false
	}
	*to = uint32(n)
	return true
}
