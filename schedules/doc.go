// Package schedules is what runs when, as data, and makes a Temporal cluster agree
// with it. The config is the truth about what, when and how; whether a schedule is
// paused, and the note on it, belong to the operator and are never written.
package schedules
