package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// stampFile lies beside the tar and says what it was made of.
const stampFile = ".sum"

// Current says whether out is what Write would make.
func (s Spec) Current(out string) (bool, error) {
	sum, err := s.sum()
	if err != nil {
		return false, err
	}
	recorded, err := os.ReadFile(out + stampFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = os.Stat(out)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(recorded) == sum, err
}

// Stamp remembers what out was made of.
func (s Spec) Stamp(out string) error {
	sum, err := s.sum()
	if err != nil {
		return err
	}
	return os.WriteFile(out+stampFile, []byte(sum), 0o644)
}

func (s Spec) sum() (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%q %q %q %q\n", s.Name, s.Entrypoint, s.Arguments, s.User)
	for _, target := range sortedKeys(s.Files) {
		_, _ = fmt.Fprintf(hash, "%q\n", target)
		if err := hashFile(hash, s.Files[target]); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func hashFile(hash io.Writer, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(hash, info.Size(), info.Mode()&0o111 != 0)
	_, err = io.Copy(hash, file)
	return err
}
