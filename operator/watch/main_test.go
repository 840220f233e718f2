package watch_test

import (
	"log/slog"
	"testing"

	"github.com/go-logr/logr"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) {
	runtimelog.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	leak.Main(m)
}
