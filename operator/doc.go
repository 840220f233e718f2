// Package operator wires the shell around the core: where objects come from,
// who starts Envoys, where status goes, and the order in which things start
// and end. The rooms below it do not know each other; they meet here.
package operator
