package promql

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

const component = "../../manifests/components/monitoring/"

// alert is one rule of the PrometheusRule.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile(component + "prometheusrule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec struct {
			Groups []struct {
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range object.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d alerts were read", len(all))
	}
	return all
}

// panel is one of the dashboard.
type panel struct {
	Title   string `json:"title"`
	Type    string `json:"type"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

// dashboard is what of it is looked at.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

func board(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(component + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// macros are what Grafana puts in the place of its own words.
var macros = strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$gateway", ".*")

// queries are all of the component, by where they are.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, a := range alerts(t) {
		all["alert "+a.Alert] = a.Expr
	}
	for _, p := range board(t).Panels {
		for i, target := range p.Targets {
			all[fmt.Sprintf("panel %q target %d", p.Title, i)] = macros.Replace(target.Expr)
		}
	}
	return all
}

// foreign are the metrics of others, with the labels that are relied on.
var foreign = map[string][]string{
	"up":                            {"job", "namespace"},
	"process_resident_memory_bytes": {"job"},
	"process_cpu_seconds_total":     {"job"},
}

// ofTarget are the labels that Prometheus itself adds.
var ofTarget = []string{"job", "pod", "instance", "__name__"}

// metrics are those of the operator, with their labels.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../observability/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		labels := slices.Clone(ofTarget)
		if len(fields) > 2 {
			labels = append(labels, strings.Split(fields[2], ",")...)
		}
		names := []string{fields[0]}
		if fields[1] == "histogram" {
			names = []string{fields[0] + "_bucket", fields[0] + "_sum", fields[0] + "_count"}
		}
		for _, name := range names {
			known[name] = labels
		}
	}
	for name, labels := range foreign {
		known[name] = append(slices.Clone(ofTarget), labels...)
	}
	return known
}

func parse(t *testing.T, query string) parser.Expr {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return expr
}

// TestQueriesAreAboutMetricsThatTheOperatorHas: a query about a metric or a label
// that does not exist is empty for ever.
func TestQueriesAreAboutMetricsThatTheOperatorHas(t *testing.T) {
	known := metrics(t)
	used := map[string]bool{}
	for where, query := range queries(t) {
		t.Run(where, func(t *testing.T) {
			expr := parse(t, query)
			var labels []string // of all metrics in it
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				selector, is := node.(*parser.VectorSelector)
				if !is {
					return nil
				}
				used[selector.Name] = true
				if known[selector.Name] == nil {
					t.Errorf("there is no metric %s", selector.Name)
				}
				labels = append(labels, known[selector.Name]...)
				for _, matcher := range selector.LabelMatchers {
					if !slices.Contains(known[selector.Name], matcher.Name) {
						t.Errorf("%s has no label %s", selector.Name, matcher.Name)
					}
				}
				return nil
			})
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				var named []string
				switch n := node.(type) {
				case *parser.AggregateExpr:
					named = n.Grouping
				case *parser.BinaryExpr:
					if n.VectorMatching != nil {
						named = n.VectorMatching.MatchingLabels
					}
				}
				for _, label := range named {
					if !slices.Contains(labels, label) {
						t.Errorf("no metric of it has a label %s", label)
					}
				}
				return nil
			})
		})
	}
	for name := range known {
		if !used[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("nobody looks at %s", name)
		}
	}
}

// TestEveryPanelAsksSomething and shows what it asked by labels that are there.
func TestEveryPanelAsksSomething(t *testing.T) {
	d := board(t)
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	known := metrics(t)
	for _, p := range d.Panels {
		if p.Type != "row" && (len(p.Targets) == 0 || p.Title == "") {
			t.Errorf("panel %q has no query or no title", p.Title)
		}
		for _, target := range p.Targets {
			for _, label := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, label[1]) && !slices.Contains(ofTarget, label[1]) {
					t.Errorf("panel %q shows a label %s that it does not ask for", p.Title, label[1])
				}
			}
		}
	}
	for _, variable := range d.Templating.List {
		if variable.Type != "query" {
			continue
		}
		parts := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(variable.Definition)
		if parts == nil || !slices.Contains(known[parts[1]], parts[2]) {
			t.Errorf("variable %s asks %q", variable.Name, variable.Definition)
		}
	}
}

// TestEveryAlertHasARunbook: under the anchor that it names.
func TestEveryAlertHasARunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts(t) {
		want := "https://github.com/backendtls/backendtls/blob/main/docs/monitoring.md#" + strings.ToLower(a.Alert)
		if a.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook %q", a.Alert, a.Annotations["runbook_url"])
		}
		if !strings.Contains(string(page), "\n### "+a.Alert+"\n") {
			t.Errorf("docs/monitoring.md has no section %s", a.Alert)
		}
	}
}
