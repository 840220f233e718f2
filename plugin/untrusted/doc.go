// Package untrusted makes text that a stranger chose fit for a terminal.
// Names in certificates, reasons in policies, messages in statuses and names
// of files can carry escape sequences that move the cursor, retitle the
// window or reverse the reading order, so that a certificate could print its
// own verdict. Every such text passes through here before it is printed, in
// every output format.
package untrusted
