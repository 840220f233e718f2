package files

import (
	"log/slog"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// logEvents logs what would be an Event in a cluster: each change of a policy's
// SecurityDegraded and BackendsVerified that was written.
func logEvents(log *slog.Logger, key gwapi.Key, was, now report.Report) {
	for _, change := range report.Changes(key, was, now) {
		log.Info("event", change.Attributes(key)...)
	}
}
