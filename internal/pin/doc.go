// Package pin knows what a certificate pin is: its text forms, the SHA-256 of
// a certificate or of its SubjectPublicKeyInfo (RFC 7469 section 2.4), and
// whether a leaf certificate matches. It imports the standard library alone.
package pin
