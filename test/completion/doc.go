// Package completion proves the completion scripts in the shells that people
// use: it types at a terminal, presses the Tab key and reads what the shell has
// made of the line. It needs bash with bash-completion, zsh and fish.
package completion
