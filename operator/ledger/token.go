package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxToken is more than ten times what the API server issues.
const maxToken = 16 << 10

// tokenFile is the path of the token that this replica proves itself with. The
// kubelet replaces the file long before the token ends.
type tokenFile string

// GetRequestMetadata reads the file.
func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, fmt.Errorf("ledger: reading the token: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return nil, fmt.Errorf("ledger: reading the token: %w", err)
	}
	token := bytes.TrimSpace(raw)
	if len(token) == 0 || len(raw) > maxToken {
		return nil, errors.New("ledger: the token in " + string(f) + " is empty or too long")
	}
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

// RequireTransportSecurity keeps the token from being sent in the clear.
func (tokenFile) RequireTransportSecurity() bool { return true }
