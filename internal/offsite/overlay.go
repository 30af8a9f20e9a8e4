package offsite

import (
	"errors"
	"io"
	"strings"
)

// nothing is an empty stream.
type nothing struct{}

func (nothing) next() (row, error) { return row{}, io.EOF }

// ahead is a stream whose next row can be looked at first.
type ahead struct {
	rows
	row  row
	full bool
	end  bool
}

// peek is false at the end.
func (a *ahead) peek() (row, bool, error) {
	if a.end {
		return row{}, false, nil
	}
	if !a.full {
		r, err := a.next()
		if errors.Is(err, io.EOF) {
			a.end = true
			return row{}, false, nil
		}
		if err != nil {
			return row{}, false, err
		}
		a.row, a.full = r, true
	}
	return a.row, true, nil
}

// take drops what peek showed.
func (a *ahead) take() { a.full = false }

// compare orders two heads; one that is at its end comes after everything.
func compare(a row, hasA bool, b row, hasB bool) int {
	switch {
	case hasA && hasB:
		return strings.Compare(a.order, b.order)
	case hasA:
		return -1
	}
	return 1
}

// overlay is a state with a manifest's rows laid over it.
type overlay struct{ below, above ahead }

func lay(below, above rows) *overlay {
	return &overlay{below: ahead{rows: below}, above: ahead{rows: above}}
}

func (o *overlay) next() (row, error) {
	for {
		b, hasB, err := o.below.peek()
		if err != nil {
			return row{}, err
		}
		a, hasA, err := o.above.peek()
		if err != nil {
			return row{}, err
		}
		if !hasA && !hasB {
			return row{}, io.EOF
		}
		c := compare(b, hasB, a, hasA)
		if c < 0 {
			o.below.take()
			return b, nil
		}
		if c == 0 {
			o.below.take()
		}
		o.above.take()
		// What never had an object leaves nothing behind to remember.
		if a.Gone == "" || a.Type.HasObject() {
			return a, nil
		}
	}
}
