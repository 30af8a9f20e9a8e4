// Command triplicate is the operator's command: it looks at the copies, says what
// would be done and why, starts runs and follows them. Looking never changes
// anything and works with the daemon and its database dead.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when building.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
