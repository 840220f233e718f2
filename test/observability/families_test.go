package observability

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/metrics"
)

// familiesFile lists every metric of the operator: its name, type and labels.
// test/promql compares what alerts and panels name with it.
const familiesFile = "testdata/metrics.txt"

// family is what is known of a metric.
type family struct {
	kind, help string
	labels     map[string]bool
}

var (
	typeLine   = regexp.MustCompile(`^# (TYPE|HELP) (\w+) (.*)$`)
	seriesLine = regexp.MustCompile(`^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
)

// familiesOf reads the text that Prometheus gets, as far as the metrics are of
// this operator.
func familiesOf(text string) map[string]*family {
	families := map[string]*family{}
	of := func(name string) *family {
		if families[name] == nil {
			families[name] = &family{labels: map[string]bool{}}
		}
		return families[name]
	}
	for line := range strings.SplitSeq(text, "\n") {
		if parts := typeLine.FindStringSubmatch(line); parts != nil && strings.HasPrefix(parts[2], "backendtls_") {
			if parts[1] == "TYPE" {
				of(parts[2]).kind = parts[3]
			} else {
				of(parts[2]).help = parts[3]
			}
			continue
		}
		parts := seriesLine.FindStringSubmatch(line)
		if parts == nil || !strings.HasPrefix(parts[1], "backendtls_") {
			continue
		}
		for _, label := range labelName.FindAllStringSubmatch(parts[2], -1) {
			of(parts[1]).labels[label[1]] = true
		}
	}
	return families
}

// checkedFamilies are those of live checks, for which there is nobody to ask here.
func checkedFamilies(t *testing.T) map[string]*family {
	t.Helper()
	service := gwapi.KeyOf(gwapi.KindService, "shop", "api")
	written := model.ProbeKey{Service: service, Port: 443, Written: "w"}
	witness := metrics.New(metrics.Config{
		Leading: func() bool { return true }, Now: time.Now,
		Probed: func() map[model.ProbeKey]model.Probed {
			return map[model.ProbeKey]model.Probed{
				written: {Endpoints: 2, NotAfter: time.Now(), Counts: []model.ProbeCount{{Result: "Verified", Count: 1}}},
			}
		},
	})
	gateway := gwapi.KeyOf(gwapi.KindGateway, "shop", "web")
	witness.Built(resolve.Result{Gateways: map[gwapi.Key]model.Gateway{gateway: {
		Backends: []model.Backend{{Service: service, Port: 443, Trust: &model.Trust{}, Checked: "w"}},
	}}}, snapshot.Observed{}, resolve.Whole, time.Second)
	registry := prometheus.NewRegistry()
	registry.MustRegister(witness.Collectors()...)
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]*family{}
	for _, found := range gathered {
		one := &family{kind: strings.ToLower(found.GetType().String()), help: found.GetHelp(), labels: map[string]bool{}}
		for _, label := range found.GetMetric()[0].GetLabel() {
			one.labels[label.GetName()] = true
		}
		if strings.HasPrefix(found.GetName(), "backendtls_backend_") {
			families[found.GetName()] = one
		}
	}
	return families
}

// testFamilies compares the metrics of an operator in whose cluster everything
// is going on with the list, with the style of their names, and with what is
// said of them in the documentation.
func (s *shop) testFamilies(t *testing.T, text string) {
	families := familiesOf(text)
	maps.Copy(families, checkedFamilies(t))
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", name, f.kind,
			strings.Join(slices.Sorted(maps.Keys(f.labels)), ","))))
		if counter := f.kind == "counter"; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, f.kind)
		}
		if (strings.Contains(f.help, "since 1970") || f.kind == "histogram") && !strings.HasSuffix(name, "_seconds") {
			t.Errorf("%s has no unit in its name", name)
		}
		if len(f.help) < 20 || !strings.HasSuffix(f.help, ".") {
			t.Errorf("%s: help %q is no sentence", name, f.help)
		}
		for label := range f.labels {
			if slices.Contains([]string{"reason", "message", "pod", "envoy", "peer", "address"}, label) {
				t.Errorf("%s has a label %s, whose values nobody bounds", name, label)
			}
		}
	}
	got := strings.Join(lines, "\n") + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(familiesFile, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(familiesFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", familiesFile, diff)
	}
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range families {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/monitoring.md says nothing of %s", name)
		}
	}
	for _, named := range regexp.MustCompile("`(backendtls_[a-z0-9_]+)`").FindAllStringSubmatch(string(page), -1) {
		if families[named[1]] == nil {
			t.Errorf("docs/monitoring.md names %s, which is no metric", named[1])
		}
	}
}
