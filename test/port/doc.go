// Package port finds ports for tests whose listener is somebody else's, an
// Envoy's or a server's that is to come back, so that the port cannot be held
// until then.
//
// A port of the kernel's choice, listened on and closed again, may be given to
// the next one who asks before it is used: tests of many packages run at a time.
// The ports of this package are outside of what the kernel chooses from, and no
// two tests of a machine have the same one at a time.
package port
