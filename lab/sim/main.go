// Command sim runs simulated servers for the lab: a Proxmox VE cluster, a Proxmox
// Backup Server and an S3 with Glacier semantics, on the loopback. It writes what a
// config needs to reach them (tokens, keys, a piece of YAML) into a folder.
//
//	sim -dir /run/sim                 run until a signal comes
//	sim -dir /run/sim state           what they have seen, as JSON
//	sim -dir /run/sim block|unblock   the bucket answers nothing but "slow down"
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// options are where everything is.
type options struct {
	dir, schema, datastore, bucket string
	control                        string
	shift                          int
	speed                          float64
	size, dirty                    int64
}

// addr is a port of the loopback, shifted.
func (o options) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port+o.shift) }

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "/run/sim", "the `folder` for tokens, keys and the piece of config")
	flags.StringVar(&o.schema, "schema", "", "the `folder` with the vendor's API schemas; requests are checked against them")
	flags.StringVar(&o.datastore, "datastore", "", "a `folder` for the datastore's real files; none are written without it")
	flags.StringVar(&o.bucket, "bucket", "", "a `folder` for the bucket; in memory without it")
	flags.StringVar(&o.control, "control", "", "where state and block are asked (default 127.0.0.1:9600, shifted)")
	flags.IntVar(&o.shift, "shift", 0, "added to every port, where others are taken")
	flags.Float64Var(&o.speed, "speed", 30, "how much faster than in reality guests are backed up and files thawed")
	flags.Int64Var(&o.size, "size", 8<<30, "bytes of a guest's first backup")
	flags.Int64Var(&o.dirty, "dirty", 1<<30, "bytes of a later one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.control == "" {
		o.control = o.addr(9600)
	}
	if verb := flags.Arg(0); verb != "" {
		return ask(ctx, o, verb, out)
	}
	return serve(ctx, o, out)
}

// ask asks a running sim.
func ask(ctx context.Context, o options, verb string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.control+"/"+verb, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", verb, resp.Status)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}

// serve runs everything until ctx ends.
func serve(ctx context.Context, o options, out io.Writer) error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /state", func(w http.ResponseWriter, _ *http.Request) {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(s.state())
	})
	mux.HandleFunc("POST /block", func(http.ResponseWriter, *http.Request) { s.block(true) })
	mux.HandleFunc("POST /unblock", func(http.ResponseWriter, *http.Request) { s.block(false) })
	control := &http.Server{Addr: o.control, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- control.ListenAndServe() }()
	fmt.Fprintf(out, "ready; the piece of config is %s\n", filepath.Join(o.dir, "config.yaml"))
	select {
	case err = <-ended:
	case err = <-s.ended:
	case <-ctx.Done():
	}
	_ = control.Close()
	return err
}
