package resolve_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
)

func TestBuild(t *testing.T) {
	for _, path := range caseFiles(t) {
		c, snap := readCase(t, path)
		t.Run(filepath.Base(path)+": "+c.Says, func(t *testing.T) {
			snap.Observed.Envoys = c.observed(t, resolve.Build(snap).Gateways)
			c.check(t, resolve.Build(snap))
		})
	}
}

// observed are the case's Envoys; those that settled have what was built.
func (c *testCase) observed(t *testing.T, gateways map[gwapi.Key]model.Gateway) map[gwapi.Key][]model.Envoy {
	t.Helper()
	envoys := map[gwapi.Key][]model.Envoy{}
	for text, list := range c.Envoys {
		key := parseKey(t, text)
		for _, given := range list {
			envoy := model.Envoy{Name: given.Name, Connected: given.Connected, Rejections: given.Rejections}
			if given.Settled {
				envoy.Settled = gateways[key].Shares
			}
			envoys[key] = append(envoys[key], envoy)
		}
	}
	return envoys
}

func (c *testCase) check(t *testing.T, result resolve.Result) {
	t.Helper()
	for _, place := range sortedKeys(c.Conditions) {
		for _, want := range c.Conditions[place] {
			checkCondition(t, place, conditionsAt(t, result.Reports, place), want)
		}
	}
	for _, place := range sortedKeys(c.Absent) {
		for _, kind := range c.Absent[place] {
			checkAbsent(t, result.Reports, place, kind)
		}
	}
	for _, place := range sortedKeys(c.Attached) {
		if got := listenerAt(t, result.Reports, place).AttachedRoutes; got != c.Attached[place] {
			t.Errorf("%s: %d routes attached, want %d", place, got, c.Attached[place])
		}
	}
	for _, place := range sortedKeys(c.Kinds) {
		got := []string{}
		for _, kind := range listenerAt(t, result.Reports, place).SupportedKinds {
			got = append(got, string(kind.Kind))
		}
		compareLines(t, place+" supportedKinds", got, c.Kinds[place])
	}
	for _, text := range sortedKeys(c.Addresses) {
		got := []string{}
		for _, address := range result.Reports[parseKey(t, text)].Addresses {
			got = append(got, fmt.Sprintf("%s %s", *address.Type, address.Value))
		}
		compareLines(t, text+" addresses", got, c.Addresses[text])
	}
	for _, text := range sortedKeys(c.Model) {
		compareLines(t, text+" model", describe(result.Gateways[parseKey(t, text)]), c.Model[text])
	}
	for _, text := range sortedKeys(c.Refs) {
		got := []string{}
		for _, gateway := range result.Refs[parseKey(t, text)] {
			got = append(got, gateway.String())
		}
		compareLines(t, text+" refs", got, c.Refs[text])
	}
	if c.Paths != nil {
		got := []string{}
		for _, path := range result.Paths {
			got = append(got, describePath(path))
		}
		compareLines(t, "paths", got, c.Paths)
	}
}

func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// conditionsAt are the conditions of KEY, KEY#LISTENER or KEY@PARENT.
func conditionsAt(t *testing.T, set report.Set, place string) []metav1.Condition {
	t.Helper()
	if key, parent, found := strings.Cut(place, "@"); found {
		for _, entry := range set[parseKey(t, key)].Parents {
			name := string(entry.ParentRef.Name)
			if entry.ParentRef.SectionName != nil {
				name += "#" + string(*entry.ParentRef.SectionName)
			}
			if name == parent && entry.ControllerName == gwapi.ControllerName {
				return entry.Conditions
			}
		}
		for _, entry := range set[parseKey(t, key)].Ancestors {
			if string(entry.AncestorRef.Name) == parent {
				return entry.Conditions
			}
		}
		t.Errorf("%s: no such entry", place)
		return nil
	}
	if strings.Contains(place, "#") {
		return listenerAt(t, set, place).Conditions
	}
	return set[parseKey(t, place)].Conditions
}

func listenerAt(t *testing.T, set report.Set, place string) (status gatewayv1.ListenerStatus) {
	t.Helper()
	key, name, _ := strings.Cut(place, "#")
	for _, listener := range set[parseKey(t, key)].Listeners {
		if string(listener.Name) == name {
			return listener
		}
	}
	t.Errorf("%s: no such listener", place)
	return status
}

func checkCondition(t *testing.T, place string, conditions []metav1.Condition, want string) {
	t.Helper()
	want, words, _ := strings.Cut(want, ": ")
	kind, _, _ := strings.Cut(want, "=")
	for _, condition := range conditions {
		if condition.Type != kind {
			continue
		}
		got := fmt.Sprintf("%s=%s/%s", condition.Type, condition.Status, condition.Reason)
		if got != want || !strings.Contains(condition.Message, words) {
			t.Errorf("%s: got  %s: %s\n want %s: %s", place, got, condition.Message, want, words)
		}
		if !condition.LastTransitionTime.Time.Equal(buildTime) {
			t.Errorf("%s: %s is of %s", place, kind, condition.LastTransitionTime)
		}
		return
	}
	t.Errorf("%s: no condition %s", place, kind)
}

func checkAbsent(t *testing.T, set report.Set, place, kind string) {
	t.Helper()
	if kind == "*" {
		if entry, found := set[parseKey(t, place)]; found {
			t.Errorf("%s: there is a report: %+v", place, entry)
		}
		return
	}
	for _, condition := range conditionsAt(t, set, place) {
		if condition.Type == kind {
			t.Errorf("%s: has %s=%s/%s: %s", place, kind, condition.Status, condition.Reason, condition.Message)
		}
	}
}
