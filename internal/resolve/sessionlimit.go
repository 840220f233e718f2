package resolve

import (
	"fmt"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// limitSessions takes in spec.envoy.maxStreamDuration of one GatewayParameters:
// the smaller of class and Gateway counts. It returns what is wrong with the
// value, which then counts as the default: it was meant as a bound.
func (r *parameterResult) limitSessions(value string) (fault string) {
	limit := model.NoSessionLimit
	if value != unlimited {
		var err error
		limit, err = time.ParseDuration(value)
		if err != nil || limit < time.Second {
			fault = fmt.Sprintf("%q is neither a duration of at least 1s, such as 24h or 90m, nor %q", value, unlimited)
			limit = model.DefaultSessionLimit
		}
	}
	switch {
	case r.sessionLimit == 0, r.sessionLimit == model.NoSessionLimit:
		r.sessionLimit = limit
	case limit != model.NoSessionLimit:
		r.sessionLimit = min(r.sessionLimit, limit)
	}
	return fault
}

// boundSessions keeps the limit within the default where some GatewayParameters
// that may say less could not be used: a reference that breaks may not be the way to
// streams without an end.
func (r *parameterResult) boundSessions() {
	if r.unread && (r.sessionLimit == model.NoSessionLimit || r.sessionLimit > model.DefaultSessionLimit) {
		r.sessionLimit = 0
	}
}
