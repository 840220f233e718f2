package edit

import (
	"errors"
	"net"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrWritten is what the errors are after which something is written, or may be:
// one of two objects, or one whose answer never came.
var ErrWritten = errors.New("something is written, or may be")

// writtenError is an ErrWritten that says so in words of its own.
type writtenError struct{ error }

func (e writtenError) Unwrap() error { return e.error }

func (writtenError) Is(target error) bool { return target == ErrWritten }

// Written makes an error an ErrWritten; its text stays.
func Written(err error) error { return writtenError{err} }

// refused says whether an error of a write means that it was not made: the
// object is another one by now, the API server said no, or was never reached. A
// connection that ended, a wait that somebody ended and an error of etcd leave
// that open.
func refused(err error) bool {
	if errors.Is(err, ErrChanged) {
		return true
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		code := status.ErrStatus.Code
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout ||
			strings.Contains(status.ErrStatus.Message, "failed calling webhook")
	}
	dialed, ok := errors.AsType[*net.OpError](err)
	return ok && dialed.Op == "dial"
}
