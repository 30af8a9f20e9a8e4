package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"triplicate/internal/backup"
)

// The exit statuses. Anything unknown is a failure.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitWarning     = 3 // done, but somebody should look
	exitUnprotected = 4 // status: a copy is missing or too old
	exitBusy        = 5 // already running, or a thaw is under way
	exitApproval    = 6 // waits for triplicate ack
	exitConfig      = 7
	exitUnreachable = 8 // no Temporal server, or no pools to look at
	exitInterrupted = 130
)

// meanings are what the statuses mean, in every verb's help.
var meanings = []struct {
	code int
	text string
}{
	{exitOK, "done, and seen to be done"},
	{exitFailed, "failed"},
	{exitUsage, "wrong usage"},
	{exitWarning, "done with warnings"},
	{exitUnprotected, "a copy is missing or too old"},
	{exitBusy, "already running, or being thawed"},
	{exitApproval, "needs approval: triplicate ack"},
	{exitConfig, "the config is wrong"},
	{exitUnreachable, "the Temporal server or a pool is out of reach"},
	{exitInterrupted, "interrupted"},
}

// outcomes are the statuses of a verb that tells how a run ended.
var outcomes = []int{exitWarning, exitApproval, exitConfig, exitUnreachable}

// verbExits are the statuses that a verb can end with, beside 0, 1, 2 and 130, which
// all have. A verb that only begins others has those of all.
var verbExits = map[string][]int{
	"check":           {exitWarning, exitConfig},
	"plan":            {exitWarning, exitApproval, exitConfig, exitUnreachable},
	"status":          {exitWarning, exitUnprotected, exitConfig, exitUnreachable},
	"snapshots":       {exitConfig, exitUnreachable},
	"restore":         {exitBusy, exitConfig, exitUnreachable},
	"ack retention":   {exitConfig},
	"ack offsite":     {exitApproval, exitConfig, exitUnreachable},
	"run nightly":     append(outcomes, exitBusy),
	"run hourly":      append(outcomes, exitBusy),
	"run snapshot":    append(outcomes, exitBusy),
	"run proxmox":     append(outcomes, exitBusy),
	"run replicate":   append(outcomes, exitBusy),
	"run offsite":     append(outcomes, exitBusy),
	"follow":          outcomes,
	"schedules list":  {exitConfig, exitUnreachable},
	"schedules sync":  {exitConfig, exitUnreachable},
	"replay":          {exitConfig, exitUnreachable},
	"version":         {},
	"init":            {exitUnreachable},
	"schema":          {},
	"completion bash": {}, "completion zsh": {}, "completion fish": {},
}

// teachExits ends the help of a command, and of all below it, with the statuses
// that it can end with.
func teachExits(cmd *cobra.Command) {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	own, known := verbExits[name]
	var b strings.Builder
	b.WriteString("\n\nEXIT STATUS\n")
	for _, m := range meanings {
		always := m.code <= exitUsage || m.code == exitInterrupted
		if always || !known || slices.Contains(own, m.code) {
			fmt.Fprintf(&b, "  %-3d %s\n", m.code, m.text)
		}
	}
	long := cmd.Long
	if long == "" {
		long = strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + "."
	}
	cmd.Long = strings.TrimSpace(long) + b.String()
	for _, sub := range cmd.Commands() {
		teachExits(sub)
	}
}

// exit is an error with the status that the command ends with. A nil err ends it
// quietly: all has been said.
type exit struct {
	code int
	err  error
	next string // what to do about it
}

// fail ends the command with an error, and says what to do next.
func fail(code int, err error, next string) exit { return exit{code, err, next} }

// Error is the cause's text.
func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap is the cause.
func (e exit) Unwrap() error { return e.err }

// outcomeExit is the status for how a run ended.
func outcomeExit(o backup.Outcome) error {
	switch o {
	case backup.OK, backup.Skipped, backup.NotConfigured:
		return nil
	case backup.Warning, backup.NotCovered:
		return exit{code: exitWarning}
	case backup.NeedsApproval:
		return exit{code: exitApproval}
	}
	return exit{code: exitFailed}
}
