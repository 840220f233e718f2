// Package target reads what a person names on the command line, TARGET
// (svc/NAME[:PORT] or btlspolicy/NAME) and the other kinds that inspect takes,
// and finds the ports that are meant. Its errors say what there is instead and
// what to type next.
package target
