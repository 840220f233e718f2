// Package loop is the one batch loop: it takes the newest snapshot, builds,
// translates the Gateways that changed, and hands the outcome to the
// publisher, the status sink and the fleet. It does nothing else, waits for
// nobody it hands things to, and knows its neighbours by the small interfaces
// declared here.
package loop
