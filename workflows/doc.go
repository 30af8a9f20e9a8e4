// Package workflows holds Triplicate's durable procedures, one file each. They
// order and report; activities look and act; internal/backup decides. Workflow
// code reads no clock, no config and no pool: all it knows came in a Plan that
// an activity read once.
package workflows
