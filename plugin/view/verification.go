package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// VerificationList prints a table of verifications.
func VerificationList(w io.Writer, items []cliv1alpha1.Verification, wide, withNamespace bool) error {
	columns := []column{
		{name: "Service"},
		{name: "Policy"},
		{name: "Mode"},
		{name: "Verdict"},
		{name: "Endpoints"},
		{name: "Reason"},
		{name: "Trust", wide: true},
		{name: "Gateways", wide: true},
		{name: "Why", wide: true},
	}
	rows := make([]row, len(items))
	for i, item := range items {
		mode := none
		if item.Policy != nil {
			mode = orNone(item.Policy.Mode.Enforced)
		}
		rows[i] = row{namespace: item.Service.Namespace, cells: []any{
			service(item.Service), policyCell(item.Policy), mode, resultCell(item.Verdict.Result, item.Verdict.Reason),
			fmt.Sprint(len(item.Endpoints)), orNone(item.Verdict.Reason),
			trust(item.Policy), gatewaysCell(item), orNone(item.Verdict.Message),
		}}
	}
	return printList(w, columns, rows, wide, withNamespace)
}

func gatewaysCell(item cliv1alpha1.Verification) string {
	if item.Unseen != "" {
		return unseenCell
	}
	return orNone(gateways(item))
}

func gateways(item cliv1alpha1.Verification) string {
	var list []string
	for _, gateway := range item.Gateways {
		list = append(list, qualified(&gateway, item.Service.Namespace))
	}
	return strings.Join(list, ",")
}

// Verified prints one verification with every check.
type Verified struct {
	Style Style
	Now   time.Time
}

// Print prints the verification.
func (v Verified) Print(w io.Writer, item cliv1alpha1.Verification) error {
	p := v.Style.page()
	p.line(v.Style.bold(heading(item.Service)))
	subject := "without a policy"
	if item.Policy != nil {
		subject = "btlspolicy/" + item.Policy.Name
		if item.IgnoreMode {
			subject += " as written, without its mode"
		} else if item.Policy.Mode.Enforced != "" {
			subject += " in mode " + item.Policy.Mode.Enforced
		}
	}
	if list := gateways(item); list != "" && item.IgnoreMode && item.Policy != nil {
		subject += ", on " + list
	} else if list != "" {
		subject += " on " + list
	} else if item.Unseen != "" {
		subject += " on " + unseenCell + ": " + item.Unseen
	} else {
		subject += ", which no route of ours leads to"
	}
	p.wrapped("  ", 2, subject)
	p.blank()
	verdict(p, v.Style, item.Verdict)
	fix(p, item.Verdict.Fix, true)
	if len(item.Endpoints) > 0 {
		p.blank()
		title := "ENDPOINTS"
		if item.Verdict.Result == assess.Refused {
			title = idleEndpoints
		}
		p.line(v.Style.bold(title))
		endpointGroups(p, v.Style, v.Now, item.Endpoints, item.Verdict.Fix, true)
	}
	return p.printTo(w)
}
