package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// The exit codes. Verbs that judge answer with No and NoAnswer.
const (
	Done        = 0
	Failed      = 1
	No          = 1
	NoAnswer    = 2
	Interrupted = 130
)

// Exit is an error that asks for an exit code of its own. A nil Err prints
// nothing: what there was to say has been said.
type Exit struct {
	Code int
	Err  error
}

// Error is the text of Err.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap is Err.
func (e *Exit) Unwrap() error { return e.Err }

// judging makes an error of a verb that judges "no answer", unless it asks for
// a code of its own: exit code 1 must mean that the answer is no.
func judging(err error) error {
	if _, chosen := errors.AsType[*Exit](err); err == nil || chosen {
		return err
	}
	return &Exit{Code: NoAnswer, Err: err}
}

// Report prints the error of a command, in the one place where that is done,
// and returns the exit code. Ctx is the command's: an error after it was
// cancelled is an interruption.
func Report(ctx context.Context, err error, errOut io.Writer) int {
	if err == nil {
		return Done
	}
	if ctx.Err() != nil {
		text := "interrupted"
		if interrupted, counted := errors.AsType[*InterruptedError](err); counted {
			text = interrupted.Error()
		}
		if errors.Is(err, edit.ErrWritten) {
			text += ": " + strings.TrimSpace(untrusted.Lines(err.Error()))
		}
		fmt.Fprintf(errOut, "error: %s\n", text)
		return Interrupted
	}
	code := Failed
	if exit, chosen := errors.AsType[*Exit](err); chosen {
		code, err = exit.Code, exit.Err
	}
	for _, each := range separate(err) {
		fmt.Fprintf(errOut, "error: %s\n", strings.TrimSpace(untrusted.Lines(each.Error())))
	}
	return code
}

// separate takes apart what errors.Join put together. An error that wraps
// several with words of its own stays whole.
func separate(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	var texts []string
	for _, each := range joined.Unwrap() {
		list = append(list, separate(each)...)
		texts = append(texts, each.Error())
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err}
	}
	return list
}
