package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"triplicate/internal/backup"
)

const frequencyFix = "A frequency is exactly one of: hourly, daily at HH:MM, disabled."

// frequency decodes `hourly`, `daily at HH:MM` or `disabled`.
func (d *decoder) frequency(node ast.Node, v reflect.Value, path string, onlyDaily bool) {
	// Other scalars too are judged by what is written: `frequency: false`
	// deserves "did you mean disabled" rather than a talk about types.
	var text string
	switch n := node.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.BoolNode, *ast.IntegerNode:
		text = node.GetToken().Value
	default:
		d.mistyped(node, path, "a frequency", frequencyFix)
		return
	}
	f, bad := parseFrequency(text)
	if bad == nil && onlyDaily && f.Kind == backup.EachHour {
		bad = &fault{message: "hourly is for snapshots only", mean: "daily at 02:30",
			fix: "This is a stage of the night: write daily at HH:MM, or disabled."}
	}
	d.put(v, path, reflect.ValueOf(f), bad)
}

func parseFrequency(text string) (backup.Frequency, *fault) {
	switch text {
	case string(backup.EachHour), string(backup.Disabled):
		return backup.Frequency{Kind: backup.FrequencyKind(text)}, nil
	}
	if at, ok := strings.CutPrefix(text, "daily at "); ok {
		t, bad := parseTime(at)
		if bad != nil && bad.mean != "" {
			bad.mean = "daily at " + bad.mean
		}
		return backup.Frequency{Kind: backup.EachDay, At: t}, bad
	}
	return backup.Frequency{}, &fault{message: fmt.Sprintf("%q is not a frequency", shorten(text)),
		mean: meantFrequency(text), fix: frequencyFix}
}

var (
	timeInside = regexp.MustCompile(`\b(\d{1,2}):(\d\d)\b`)
	cronDaily  = regexp.MustCompile(`^(\d{1,2}) (\d{1,2}) \* \* \*$`)
	cronHourly = regexp.MustCompile(`^\d{1,2} \* \* \* \*$`)
)

// meantFrequency guesses what was meant by a frequency that is none.
func meantFrequency(text string) string {
	word := strings.ToLower(strings.TrimSpace(text))
	switch word {
	case "no", "off", "never", "none", "false", "0":
		return "disabled"
	case "yes", "on", "true", "every hour", "@hourly", "1h":
		return "hourly"
	}
	if m := cronDaily.FindStringSubmatch(word); m != nil {
		if t, bad := parseTime(fmt.Sprintf("%02s:%02s", m[2], m[1])); bad == nil {
			return "daily at " + t.String()
		}
	}
	if cronHourly.MatchString(word) {
		return "hourly"
	}
	if m := timeInside.FindStringSubmatch(word); m != nil {
		if t, bad := parseTime(fmt.Sprintf("%02s:%s", m[1], m[2])); bad == nil {
			return "daily at " + t.String()
		}
	}
	first, _, _ := strings.Cut(word, " ")
	mean := nearest(first, []string{"hourly", "daily", "disabled"})
	if mean == "daily" || first == "nightly" || first == "@daily" {
		return "daily at 01:30"
	}
	return mean
}

// parseTime reads HH:MM.
func parseTime(text string) (backup.TimeOfDay, *fault) {
	h, m, ok := strings.Cut(text, ":")
	hour, errH := strconv.ParseUint(h, 10, 8)
	minute, errM := strconv.ParseUint(m, 10, 8)
	t := backup.TimeOfDay{Hour: int(hour), Minute: int(minute)}
	bad := &fault{message: fmt.Sprintf("%q is not a time of day", shorten(text)),
		fix: "Write hours and minutes as HH:MM, from 00:00 to 23:59."}
	switch {
	case !ok || errH != nil || errM != nil:
		return backup.TimeOfDay{}, bad
	case hour == 24 && minute == 0:
		bad.mean = "00:00"
		return backup.TimeOfDay{}, bad
	case hour > 23 || minute > 59:
		return backup.TimeOfDay{}, bad
	case t.String() != text:
		bad.mean = t.String()
		return backup.TimeOfDay{}, bad
	}
	return t, nil
}

// maxKeep is far above any real number: 10000 hours are more than a year.
const maxKeep = 10000

// tier decodes one number of a keep.
func (d *decoder) tier(node ast.Node, v reflect.Value, path string) {
	text := node.GetToken().Value
	fix := "Write how many to keep, or all; leave the tier out to keep none."
	switch n := node.(type) {
	case *ast.IntegerNode:
	case *ast.StringNode:
		if n.Value == "all" {
			v.SetInt(backup.All)
			return
		}
		f := fault{message: fmt.Sprintf("%s is %q, which is neither a number nor all", last(path), shorten(n.Value)), fix: fix}
		if _, err := strconv.Atoi(n.Value); err == nil {
			f.mean = n.Value
			f.fix = "Write the number without quotes."
		} else {
			f.mean = nearest(n.Value, []string{"all"})
		}
		d.fail(path, f)
		return
	default:
		d.mistyped(node, path, "a number or all", fix)
		return
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n > maxKeep:
		d.fail(path, fault{message: fmt.Sprintf("%s is %s, but at most %d", last(path), shorten(text), maxKeep),
			fix: "Write a smaller number, or all."})
	case n < 1:
		d.fail(path, fault{message: fmt.Sprintf("%s is %s, but at least 1", last(path), text), fix: fix})
	default:
		v.SetInt(int64(n))
	}
}
