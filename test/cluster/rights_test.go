package cluster

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestEveryKindIsToldItsStatus makes an object of every kind that carries a
// status. What the operator needs for that it must be allowed, and what it is
// allowed it must need: see install.close.
func TestEveryKindIsToldItsStatus(t *testing.T) {
	team, _, _ := newTeam(t, 1)
	team.apply("everykind.yaml", nil)
	for kind, name := range map[string]string{
		"GatewayClass": "backendtls", "Gateway": "every", "ListenerSet": "every", "HTTPRoute": "every",
		"GRPCRoute": "every", "TLSRoute": "every", "TCPRoute": "every", "BackendTLSPolicy": "api",
	} {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind})
		key := team.key(name)
		if kind == "GatewayClass" {
			key.Namespace = ""
		}
		eventually(t, time.Minute, kind+" is told what became of it", func() string {
			if err := here.client.Get(t.Context(), key, object); err != nil {
				return err.Error()
			}
			generations := conditionGenerations(object.Object["status"])
			for _, generation := range generations {
				if generation != object.GetGeneration() {
					return fmt.Sprintf("generation %d, and a condition is of %d", object.GetGeneration(), generation)
				}
			}
			if len(generations) == 0 {
				return "status has no condition"
			}
			return ""
		})
	}
}

// conditionGenerations are those of all conditions in a status, wherever they
// are. Conditions that are as the schema has them by default have none.
func conditionGenerations(status any) (generations []int64) {
	switch node := status.(type) {
	case []any:
		for _, child := range node {
			generations = append(generations, conditionGenerations(child)...)
		}
	case map[string]any:
		if generation, is := node["observedGeneration"].(int64); is {
			generations = append(generations, generation)
		}
		for _, child := range node {
			generations = append(generations, conditionGenerations(child)...)
		}
	}
	return generations
}
