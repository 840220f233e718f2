package drain

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Install copies this very program to a path, for a container that has no such
// program of its own. The file is there whole or not at all.
func Install(path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := copyProgram(self, path); err != nil {
		return fmt.Errorf("install %s: %w", path, err)
	}
	return nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	// Whoever runs the container must be able to run it, whatever its user id is.
	part := to + ".part"
	target, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755) //nolint:gosec // a program, no secret
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err := errors.Join(err, target.Close()); err != nil {
		return err
	}
	return os.Rename(part, to)
}
