package assess

import (
	"github.com/backendtls/backendtls/internal/manifest"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Problems are the faults of files in the form of the output kinds.
func Problems(list []manifest.Problem) []cliv1alpha1.Problem {
	var described []cliv1alpha1.Problem
	for _, problem := range list {
		shown := cliv1alpha1.Problem{
			File: untrusted.Text(problem.File), Line: problem.Line, Message: untrusted.Text(problem.Message),
		}
		if !problem.Object.IsZero() {
			shown.Object = untrusted.Text(problem.Object.String())
		}
		described = append(described, shown)
	}
	return described
}
