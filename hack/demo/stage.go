package main

import (
	"context"
	"os/exec"
)

// stage is where the story is told: a directory of manifests with a standalone
// operator, or a cluster.
type stage interface {
	// ready waits until the policy is programmed for the first time, and says in
	// a line what is up.
	ready(ctx context.Context) (string, error)
	// programmed says whether Envoy has the policy as it is written now.
	programmed(ctx context.Context) (bool, error)
	// request is the status that a client of the Gateway gets, 0 for no answer.
	request(ctx context.Context) int
	// newKey restarts the backends with a new self-signed certificate and key.
	newKey(ctx context.Context) error
	// allow decides for the gateway operator whether policies may skip
	// verification.
	allow(ctx context.Context, skip bool) error
	// digest covers everything that a verb could write.
	digest(ctx context.Context) (string, error)
	// verb is a command line of the plugin, as it is typed and as it is run.
	verb(ctx context.Context, arguments []string, writes bool) (typed string, command *exec.Cmd)
	// hint says what to type while everything stays up.
	hint() string
	// lastWords is an error that carries what the operator said last.
	lastWords(ctx context.Context) error
	// close removes everything that the stage made.
	close(ctx context.Context) error
}
