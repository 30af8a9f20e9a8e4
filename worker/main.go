// Command triplicated is the daemon on the server whose pools it backs up: it
// runs the workflow engine (unless another is configured), the steps, and keeps
// the schedules as the config says.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set when building.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "triplicated:", err)
		os.Exit(1)
	}
}
