// Package tunnel reaches endpoints: it makes one handshake with each of many,
// several at once, and collects what they showed. How a connection is opened
// (dialing the address of the endpoint) is the prober's.
package tunnel
