// Package plugin is the root of kubectl backendtls: the list of verbs, the
// flags that every kubectl command has, and how the program ends. The verbs
// are in command, what they read in collect, what they print in view.
package plugin
