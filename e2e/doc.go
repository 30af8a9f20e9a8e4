// Package e2e runs the real daemon on real OpenZFS, in the lab VM, and looks at
// the pools afterwards. Its tests have the build tag lab and run on the host:
//
//	lab/vm up && make build && go test -tags lab ./e2e
package e2e
