package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// Paths prints a table of paths.
func Paths(w io.Writer, paths []cliv1alpha1.Path, now time.Time, wide, withNamespace bool) error {
	return printList(w, pathColumns(), pathRows(paths, now), wide, withNamespace)
}

func pathColumns() []column {
	return []column{
		{name: "Service"},
		{name: "Gateway"},
		{name: "Route"},
		{name: "Policy"},
		{name: "Mode"},
		{name: "Left"},
		{name: "Verdict"},
		{name: "Expires"},
		{name: "Reason"},
		{name: "Trust", wide: true},
		{name: "Hostnames", wide: true},
		{name: "Endpoints", wide: true},
		{name: "Conditions", wide: true},
		{name: "Why", wide: true},
	}
}

func pathRows(paths []cliv1alpha1.Path, now time.Time) []row {
	rows := make([]row, len(paths))
	for i, path := range paths {
		c := CellsOf(path, now)
		rows[i] = row{namespace: path.Service.Namespace, cells: []any{
			c.Service, c.Gateway, c.Route, c.Policy, c.Mode, c.Left, c.Verdict, c.Expires, orNone(path.Verdict.Reason),
			trustCell(path), orNone(strings.Join(path.Hostnames, ",")), fmt.Sprint(len(path.Endpoints)),
			orNone(conditionsCell(path.Conditions)), orNone(path.Verdict.Message),
		}}
	}
	return rows
}

// qualified is kind/name, with the namespace in front where it is another one
// than the Service's.
func qualified(reference *cliv1alpha1.ObjectReference, namespace string) string {
	if reference == nil || reference.Namespace == namespace {
		return object(reference)
	}
	return strings.ToLower(reference.Kind) + "/" + reference.Namespace + "/" + reference.Name
}

func policyCell(policy *cliv1alpha1.Policy) string {
	if policy == nil {
		return none
	}
	return policy.Name
}

func modeCells(policy *cliv1alpha1.Policy) (mode, remaining string) {
	if policy == nil {
		return none, none
	}
	mode, remaining = policy.Mode.Requested, none
	switch {
	case policy.Mode.SecondsLeft != nil:
		remaining = left(*policy.Mode.SecondsLeft)
	case policy.Mode.State == "Active":
		remaining = "no end"
	case policy.Mode.State != "":
		remaining = StateWord(policy.Mode.State)
	}
	return mode, remaining
}

// verified is the verdict, with its age where it is the operator's.
func verified(path cliv1alpha1.Path, now time.Time) string {
	cell := pathCell(path)
	if cell == notServed {
		return cell
	}
	asked := slices.ContainsFunc(path.Endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Result != assess.NotProbed })
	if asked || !slices.Contains(operatorResults, path.Verdict.Result) {
		return cell
	}
	for _, condition := range path.Conditions {
		if condition.Type == "BackendsVerified" && condition.LastTransitionTime != nil {
			return cell + " (" + duration.HumanDuration(now.Sub(condition.LastTransitionTime.Time)) + " ago)"
		}
	}
	return cell
}

// operatorResults are the results that the operator's BackendsVerified can come to.
var operatorResults = []string{assess.Passes, assess.Fails, assess.Mixed, assess.Unreachable}

// firstExpiry is the earliest end of a leaf's validity, "" without a leaf.
func firstExpiry(endpoints []cliv1alpha1.Endpoint, now time.Time) string {
	var ends []time.Time
	for _, endpoint := range endpoints {
		if endpoint.Certificate != nil {
			ends = append(ends, endpoint.Certificate.NotAfter.Time)
		}
	}
	if len(ends) == 0 {
		return ""
	}
	return expiry(slices.MinFunc(ends, time.Time.Compare), now)
}

// conditionsCell lists what the operator wrote, else what is computed.
func conditionsCell(conditions []cliv1alpha1.Condition) string {
	var parts []string
	seen := map[string]bool{}
	for _, condition := range conditions {
		if seen[condition.Type] {
			continue
		}
		seen[condition.Type] = true
		parts = append(parts, condition.Type+"="+cmp.Or(condition.Reason, condition.Status))
	}
	return strings.Join(parts, ",")
}

// trustCell is what is checked on the path; where the client's TLS goes on to the
// Service, that is the client's affair.
func trustCell(path cliv1alpha1.Path) string {
	if path.Verdict.Result == assess.Passthrough {
		return "the client's"
	}
	return trust(path.Policy)
}
