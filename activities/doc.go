// Package activities holds the steps of the workflows, one file for each outside
// system. Every activity looks at both ends, then acts: running one again, from
// any point where it was cut off, converges to the same state.
package activities
