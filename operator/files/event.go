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
		log.Info("event", "event", change.Condition, "type", change.EventType(), "status", string(change.Status),
			"reason", change.Reason, "object", key.String(), "gateway", change.Gateway.String(),
			"message", change.Message)
	}
}
