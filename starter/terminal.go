package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"triplicate/internal/backup"
)

// written passes on what is printed, and remembers the first write that failed: most
// of what a verb prints is printed without a look at the error.
type written struct {
	to  io.Writer
	err error
}

// Write writes to where it goes.
func (w *written) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(p)
	w.err = err
	return n, err
}

// file is the file that out is, if it is one.
func (c *cli) file() (*os.File, bool) {
	out := c.out
	if w, ok := out.(*written); ok {
		out = w.to
	}
	file, ok := out.(*os.File)
	return file, ok
}

// terminal says whether out is one.
func (c *cli) terminal() bool {
	if c.isTerminal != nil {
		return c.isTerminal()
	}
	file, ok := c.file()
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// width is that of the terminal, in characters.
func (c *cli) width() int {
	if file, ok := c.file(); ok {
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// paint colours text by outcome, on a terminal that wants colour (no-color.org).
func (c *cli) paint(o backup.Outcome, text string) string {
	if os.Getenv("NO_COLOR") != "" || !c.terminal() {
		return text
	}
	colour := "0"
	switch o {
	case backup.OK:
		colour = "32"
	case backup.Warning, backup.NeedsApproval, backup.NotCovered:
		colour = "33"
	case backup.Failed:
		colour = "31"
	case backup.Skipped, backup.NotConfigured:
		colour = "2"
	}
	return "\033[" + colour + "m" + text + "\033[0m"
}
