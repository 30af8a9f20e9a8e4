package main

import (
	"os"

	"golang.org/x/term"

	"triplicate/internal/backup"
)

// terminal says whether out is one.
func (c *cli) terminal() bool {
	if c.isTerminal != nil {
		return c.isTerminal()
	}
	file, ok := c.out.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// width is that of the terminal, in characters.
func (c *cli) width() int {
	if file, ok := c.out.(*os.File); ok {
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
