package view

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// none stands for nothing in a table, as in kubectl.
const none = "<none>"

// expiry is the end of a validity seen from now: in 364d, or 3d ago.
func expiry(notAfter, now time.Time) string {
	if left := notAfter.Sub(now); left >= 0 {
		return "in " + duration.HumanDuration(left)
	}
	return duration.HumanDuration(now.Sub(notAfter)) + " ago"
}

// left is the time until a mode ends, as a clock shows it: 01:58:12.
func left(seconds int64) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// StateWord is the state of a mode in words for people.
func StateWord(state string) string {
	if state == string(model.ModeNotStarted) {
		return "not started"
	}
	return strings.ToLower(state)
}

// word is a result in words for people.
func word(result string) string {
	switch result {
	case assess.NoEndpoints:
		return "no endpoints"
	case assess.NotProbed:
		return "not probed"
	case assess.Foreign:
		return "other controller"
	case assess.Unseen:
		return unseenCell
	case assess.Unjudged:
		return "not judged"
	default:
		return strings.ToLower(result)
	}
}

// verdictCell is a verdict in one word or number: what stands in the way first.
func verdictCell(verdict cliv1alpha1.Verdict) string {
	cell := resultCell(verdict.Result, verdict.Reason)
	if verdict.Status != 0 && verdict.Result != assess.Mixed {
		cell = strconv.Itoa(verdict.Status)
	}
	if verdict.Result == assess.Unseen && verdict.Reason == assess.NotRead {
		cell = "<not read>"
	}
	if verdict.Result == assess.Mixed {
		cell = "some " + strconv.Itoa(verdict.Status)
	}
	return cell
}

// resultCell is a result in words; one that nobody may ask for says that.
func resultCell(result, reason string) string {
	if result == assess.NotProbed && reason == string(model.FaultForbidden) {
		return unseenCell
	}
	return word(result)
}

// pathCell is what a request on the path gets: nothing, if its listener is down.
func pathCell(path cliv1alpha1.Path) string {
	if path.ListenerFault != "" {
		return notServed
	}
	return verdictCell(path.Verdict)
}

// notServed stands for a listener to which nobody can connect.
const notServed = "not served"

// object is kind/name as people type it.
func object(reference *cliv1alpha1.ObjectReference) string {
	if reference == nil {
		return none
	}
	return strings.ToLower(reference.Kind) + "/" + reference.Name
}

// service is svc/NAME:PORT.
func service(reference cliv1alpha1.PortReference) string {
	return fmt.Sprintf("svc/%s:%d", reference.Name, reference.Port)
}

func orNone(s string) string { return cmp.Or(s, none) }

// trust describes the checks in one line.
func trust(policy *cliv1alpha1.Policy) string {
	switch {
	case policy == nil:
		return "plaintext"
	case policy.Unseen != "":
		return unseenCell
	case policy.Trust == nil:
		return "refused"
	}
	t := policy.Trust
	var parts []string
	if t.Anchors > 0 {
		parts = append(parts, cmp.Or(strings.Join(t.Authorities, "+"), "trusted certificates"))
	}
	if len(t.Pins) > 0 {
		parts = append(parts, plural(len(t.Pins), "pin"))
	}
	if len(parts) == 0 {
		return "anything"
	}
	return strings.Join(parts, " and ")
}

// most is how many things of one kind are spelled out on a page, which a server
// may have thousands of; documents have them all.
const most = 8

// some joins a list, and counts what is more than a page holds.
func some(list []string, separator string) string {
	if len(list) <= most {
		return strings.Join(list, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], separator), len(list)-most)
}

// plural is a number and a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
