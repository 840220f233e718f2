// Package view prints: one file per noun. Lists are Kubernetes tables, a single
// target is text in sections, fit for the terminal and at most 100 columns;
// documents are JSON, YAML and jsonpath. It takes values of plugin/api, whose
// texts are clean already, and decides nothing. Colors only where the caller
// found that the writer is a terminal that wants them.
package view
