package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/plugin/session"
)

// manyPaths is how many a large cluster has.
const manyPaths = 1000

// BenchmarkAChangeAmongAThousandPaths is the time from a change in a cluster to
// the State that shows it, with what changes wait for each other.
func BenchmarkAChangeAmongAThousandPaths(b *testing.B) {
	c := newCluster(b)
	c.crowd(manyPaths)
	ctx, leave := context.WithCancel(b.Context())
	states := c.sitting().Watch(ctx, shop)
	until(b, states, "every path", paths(manyPaths+1))
	lists := len(c.lists())
	b.ResetTimer()
	for i := range b.N {
		name := fmt.Sprintf("changed%d.example.com", i)
		c.put(strings.ReplaceAll(fixture(b, "policy.yaml"), "api.example.com", name))
		until(b, states, "the change", func(state session.State) bool {
			return state.Paths[0].Policy != nil && state.Paths[0].Policy.Trust.SNI == name
		})
	}
	b.StopTimer()
	b.ReportMetric(float64(len(c.lists())-lists), "lists")
	leave()
	for open := true; open; {
		_, open = <-states
	}
}

// crowd adds paths of their own Services, routes, endpoints and policies.
func (c *cluster) crowd(n int) {
	text := fixture(c.t, "site/api.yaml")
	_, text, _ = strings.Cut(text, "\n---\n") // The namespace is there.
	text += "---\n" + fixture(c.t, "policy.yaml")
	for i := range n {
		name := fmt.Sprintf("many%04d", i)
		c.put(strings.NewReplacer("name: api", "name: "+name, "api-443", name+"-443", "api.example", name+".example").
			Replace(text))
	}
}

// lists are the lists that were asked for.
func (c *cluster) lists() []string {
	var list []string
	for _, request := range c.Requests() {
		if request.Verb == "list" {
			list = append(list, request.Resource)
		}
	}
	return list
}
