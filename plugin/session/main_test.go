package session_test

import (
	"testing"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	leak.Main(m)
}
