// Package interop runs tools that others make against ours: temporal and tctl on
// the schedules of the real daemon, aws on the bucket of docs/setup.md. Its tests have the build tag interop, because
// building those tools takes minutes the first time:
//
//	make interop
package interop
