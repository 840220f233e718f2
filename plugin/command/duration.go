package command

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// FlagFault says what is wrong with a flag. Of a duration it does so in the words
// of people: Go's are about units of its parser.
func FlagFault(err error) error {
	fault, invalid := errors.AsType[*pflag.InvalidValueError](err)
	if !invalid || fault.GetFlag().Value.Type() != "duration" {
		return err
	}
	return fmt.Errorf("--%s is %q: want hours, minutes or seconds, such as 2h, 90m, 30s or 1h30m; a day is 24h",
		fault.GetFlag().Name, fault.GetValue())
}
