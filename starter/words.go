package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// needsWord makes a verb that is only a beginning say so. Left to itself cobra
// prints the help and ends with 0, and a mistyped cron job would seem to work.
func needsWord(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cc *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if near := cc.SuggestionsFor(args[0]); len(near) > 0 {
			return fmt.Errorf("unknown word %q after %s; did you mean %s?", args[0], cc.CommandPath(), strings.Join(near, " or "))
		}
		return fmt.Errorf("unknown word %q after %s; one of: %s", args[0], cc.CommandPath(), words(cc))
	}
	cmd.RunE = func(cc *cobra.Command, _ []string) error {
		return fail(exitUsage, fmt.Errorf("%s what? one of: %s", cc.CommandPath(), words(cc)), cc.CommandPath()+" --help")
	}
	return cmd
}

func words(cmd *cobra.Command) string {
	var all []string
	for _, sub := range cmd.Commands() {
		all = append(all, sub.Name())
	}
	return strings.Join(all, ", ")
}

// takes demands so many arguments, from least to most (-1: any number), and names
// them where they are missing; cobra only counts.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cc *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("%s needs a %s", cc.CommandPath(), what)
		case most == 0 && len(args) > 0:
			return fmt.Errorf("%s takes no argument, and got %q", cc.CommandPath(), args[0])
		case most >= 0 && len(args) > most:
			return fmt.Errorf("%s takes one %s, and got %d: %s", cc.CommandPath(), what, len(args), strings.Join(args, " "))
		}
		return nil
	}
}
