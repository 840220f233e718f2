package manifest

import (
	"errors"
	"runtime"
)

// contain makes an error of a panic: libraries for YAML, JSON, schemas and CEL
// read what anybody may have written, and a fault in one of them must cost the
// file and not the program. Nothing but what the runtime says of a panic is
// repeated: another value may hold a part of the file.
func contain(work func() error) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		const message = "cannot be read: it makes this program fail; look for what is unusual in it, and report this"
		err = errors.New(message)
		if fault, ok := value.(runtime.Error); ok {
			err = errors.New(message + " (" + fault.Error() + ")")
		}
	}()
	return work()
}
