// Command agent is both ends of the lab VM's control channel: it runs commands
// inside for callers outside, and carries bytes to ports of the VM's own loopback.
//
//	agent serve :PORT                                    inside
//	agent exec ADDR [--timeout S] [-C dir] [-e K=V]... -- command...
//	agent run ADDR binary args...                        copy in, run, remove
//	agent forward ADDR LISTEN GUESTPORT
//	agent wait ADDR SECONDS
//	agent monitor SOCKET command                         QEMU's monitor
//	agent freeport
//
// One connection is one command or one forwarded connection: a JSON line with the
// request, then frames. Only the standard library is used, because it is compiled
// into the VM.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Exit statuses beyond the command's own.
const exitLab = 125 // the lab failed, not the command

func main() {
	code, err := dispatch(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		code = exitLab
	}
	os.Exit(code)
}

func dispatch(args []string) (int, error) {
	if len(args) == 0 {
		return 0, errors.New("usage: agent serve|exec|run|forward|wait|monitor|freeport")
	}
	verb, args := args[0], args[1:]
	wants := map[string]int{"serve": 1, "exec": 2, "run": 2, "forward": 3, "wait": 2, "monitor": 2, "freeport": 0}
	n, known := wants[verb]
	if !known || len(args) < n {
		return 0, fmt.Errorf("agent %s: unknown verb, or arguments missing", verb)
	}
	switch verb {
	case "serve":
		return 0, serve(args[0])
	case "exec":
		return execute(args[0], args[1:])
	case "run":
		return runBinary(args[0], args[1], args[2:])
	case "forward":
		return 0, forward(args[0], args[1], args[2])
	case "wait":
		return 0, wait(args[0], args[1])
	case "monitor":
		return 0, monitor(args[0], args[1])
	}
	return 0, freePort()
}

// freePort prints a port of the loopback that nobody listens on.
func freePort() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port) //nolint:forbidigo // it is all that this verb says
	return l.Close()
}
