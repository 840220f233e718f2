package files_test

import (
	"testing"

	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
