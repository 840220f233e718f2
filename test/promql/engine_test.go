package promql

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	engine "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"sigs.k8s.io/yaml"
)

// start is the time at which all series begin, in seconds since 1970: round, so
// that values that are times can be read.
const start = 1_000_000

// fired is how alerts are tried: the series, in the notation of promtool's tests
// ("1x5 0 _"), a value each interval, and the times after their start at which the
// alert is quiet and fires.
type fired struct {
	Name     string            `json:"name"`
	Alert    string            `json:"alert"`
	Interval string            `json:"interval"`
	Series   map[string]string `json:"series"`
	Quiet    []string          `json:"quiet"`
	Fires    []string          `json:"fires"`
}

// sample is one value.
type sample struct {
	at    int64 // milliseconds
	value float64
}

func (s sample) T() int64                    { return s.at }
func (sample) ST() int64                     { return 0 }
func (s sample) F() float64                  { return s.value }
func (sample) H() *histogram.Histogram       { return nil }
func (sample) FH() *histogram.FloatHistogram { return nil }
func (sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample         { return s }

// store is a storage of series that were given.
type store []*series

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// load reads series, a value each interval.
func load(t *testing.T, texts map[string]string, interval time.Duration) store {
	t.Helper()
	var all store
	for name, values := range texts {
		set, sequence, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(name + " " + values)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		one := &series{labels: set}
		for i, value := range sequence {
			if !value.Omitted {
				at := start*1000 + int64(i)*interval.Milliseconds()
				one.samples = append(one.samples, sample{at: at, value: value.Value})
			}
		}
		all = append(all, one)
	}
	return all
}

func (s store) Querier(from, to int64) (storage.Querier, error) { return querier{s, from, to}, nil }

// querier selects of a store what is between two times.
type querier struct {
	store    store
	from, to int64
}

func (q querier) Select(
	_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher,
) storage.SeriesSet {
	set := &found{}
	for _, one := range q.store {
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(one.labels.Get(m.Name)) }) {
			continue
		}
		within := slices.DeleteFunc(slices.Clone(one.samples), func(s chunks.Sample) bool { return s.T() < q.from || s.T() > q.to })
		set.list = append(set.list, storage.NewListSeries(one.labels, within))
	}
	sort.Slice(set.list, func(i, j int) bool { return labels.Compare(set.list[i].Labels(), set.list[j].Labels()) < 0 })
	return set
}

func (querier) LabelValues(
	context.Context, string, *storage.LabelHints, ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(
	context.Context, *storage.LabelHints, ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}
func (querier) Close() error { return nil }

// found is what was selected.
type found struct {
	list []storage.Series
	next int
}

func (f *found) Next() bool                      { f.next++; return f.next <= len(f.list) }
func (f *found) At() storage.Series              { return f.list[f.next-1] }
func (*found) Err() error                        { return nil }
func (*found) Warnings() annotations.Annotations { return nil }

func newEngine() *engine.Engine {
	return engine.NewEngine(engine.EngineOpts{
		MaxSamples: 10_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
}

// ask evaluates a query so long after the start.
func ask(t *testing.T, with *engine.Engine, in store, query string, after time.Duration) engine.Vector {
	t.Helper()
	asked, err := with.NewInstantQuery(t.Context(), in, nil, query, time.Unix(start, 0).Add(after))
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	defer asked.Close()
	result := asked.Exec(t.Context())
	if result.Err != nil {
		t.Fatalf("%v in %s", result.Err, query)
	}
	switch value := result.Value.(type) {
	case engine.Vector:
		return slices.Clone(value)
	case engine.Scalar:
		return engine.Vector{{T: value.T, F: value.V}}
	default:
		t.Fatalf("%s is a %s", query, result.Value.Type())
		return nil
	}
}

func span(t *testing.T, text string) time.Duration {
	t.Helper()
	if days, found := strings.CutSuffix(text, "d"); found {
		return 24 * span(t, days+"h")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var labelOf = regexp.MustCompile(`\$labels\.(\w+)`)

// TestAlertsFireWhenTheyShould and not before. As Prometheus does, an alert is
// evaluated again and again, and fires once it was active for its time.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	text, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []fired
	if err := yaml.UnmarshalStrict(text, &cases); err != nil {
		t.Fatal(err)
	}
	rules := map[string]alert{}
	for _, a := range alerts(t) {
		rules[a.Alert] = a
	}
	with := newEngine()
	tried := map[string]bool{}
	for _, c := range cases {
		t.Run(c.Alert+": "+c.Name, func(t *testing.T) {
			rule, found := rules[c.Alert]
			if !found {
				t.Fatal("there is no such alert")
			}
			tried[c.Alert] = tried[c.Alert] || len(c.Fires) > 0
			interval := span(t, c.Interval)
			in := load(t, c.Series, interval)
			for _, at := range c.Quiet {
				if since := active(t, with, in, rule, span(t, at), interval); since >= span(t, rule.For) {
					t.Errorf("fires after %s", at)
				}
			}
			for _, at := range c.Fires {
				if since := active(t, with, in, rule, span(t, at), interval); since < span(t, rule.For) {
					t.Errorf("is quiet after %s: active for %s", at, since)
				}
				for _, annotation := range rule.Annotations {
					for _, label := range labelOf.FindAllStringSubmatch(annotation, -1) {
						for _, one := range ask(t, with, in, rule.Expr, span(t, at)) {
							if one.Metric.Get(label[1]) == "" {
								t.Errorf("says $labels.%s, which %s has not", label[1], one.Metric)
							}
						}
					}
				}
			}
		})
	}
	for name := range rules {
		if !tried[name] {
			t.Errorf("nobody has seen %s fire", name)
		}
	}
}

// active is for how long, at a time, an alert has been so without a break; -1 if
// it is not.
func active(
	t *testing.T, with *engine.Engine, in store, rule alert, at, interval time.Duration,
) time.Duration {
	t.Helper()
	step := min(interval, time.Minute)
	wanted := span(t, rule.For)
	since := time.Duration(-1)
	for back := time.Duration(0); back <= wanted+step && back <= at; back += step {
		if len(ask(t, with, in, rule.Expr, at-back)) == 0 {
			break
		}
		since = back
	}
	return since
}

// TestEveryPanelShowsSomething in a cluster where everything is going on.
func TestEveryPanelShowsSomething(t *testing.T) {
	text, err := os.ReadFile("testdata/busy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := yaml.Unmarshal(text, &texts); err != nil {
		t.Fatal(err)
	}
	in, with := load(t, texts, time.Minute), newEngine()
	for _, p := range board(t).Panels {
		for i, target := range p.Targets {
			t.Run(fmt.Sprintf("%s target %d", p.Title, i), func(t *testing.T) {
				if shown := ask(t, with, in, macros.Replace(target.Expr), 20*time.Minute); len(shown) == 0 {
					t.Errorf("nothing is shown by %s", target.Expr)
				}
			})
		}
	}
}

// TestNobodyIsHealthyWithoutAnOperator: where nothing is known, no panel shows a
// number but that nobody leads. A leader without policies has numbers, and they
// are calm; but nobody has checked an endpoint.
func TestNobodyIsHealthyWithoutAnOperator(t *testing.T) {
	with := newEngine()
	alone := load(t, map[string]string{`backendtls_leader{pod="a"}`: "1x30"}, time.Minute)
	for _, p := range board(t).Panels {
		for i, target := range p.Targets {
			t.Run(fmt.Sprintf("%s target %d", p.Title, i), func(t *testing.T) {
				query := macros.Replace(target.Expr)
				shown := ask(t, with, nil, query, 20*time.Minute)
				if p.Title == "Leaders" {
					if len(shown) != 1 || shown[0].F != 0 {
						t.Errorf("shows %v leaders, want 0", shown)
					}
					return
				}
				if len(shown) > 0 {
					t.Errorf("shows %v where nothing is known", shown)
				}
				if p.Type != "stat" {
					return
				}
				shown = ask(t, with, alone, query, 20*time.Minute)
				if p.Title == "Endpoints that fail" {
					if len(shown) > 0 {
						t.Errorf("shows %v where no endpoint was checked", shown)
					}
				} else if len(shown) != 1 || shown[0].F != 0 {
					t.Errorf("shows %v for a cluster without policies, want 0", shown)
				}
			})
		}
	}
}
