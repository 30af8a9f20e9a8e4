// Package backup is the vocabulary of Triplicate and every decision it takes:
// what is due, what is kept, what is sent from where to where, and what a name
// means. Everything here is pure: no clock, no command, no network. The rest of
// the program looks at the world, asks this package, and acts.
package backup
