//go:build tools

// Package tools names the commands that this module exists to build, so that
// "go mod tidy" keeps what they need.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
