// Package command is the verbs of kubectl backendtls, one file each: an
// options struct with Complete, Validate and Run, and a constructor for the
// cobra command. A verb reads flags, collects, asks endpoints, lets assess or
// edit decide, and lets view print; it decides nothing itself.
package command
