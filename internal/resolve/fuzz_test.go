package resolve_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/document"
)

// FuzzBuild edits the objects of a case as its input says: a value is replaced
// by one from anywhere else, left out, or doubled. Nothing is checked against
// a schema then. Build must not panic, and what holds for every case still
// holds.
func FuzzBuild(f *testing.F) {
	documents := fuzzDocuments(f)
	var words []any
	for _, list := range documents {
		for _, object := range list {
			words = document.Words(words, object)
		}
	}
	words = append(words, "", "*", "*.com", "/", "(", "127.0.0.1", nil, -1.0, 0.0, 1.0, 65536.0, true, []any{}, map[string]any{})
	for i := range documents {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte("change a few values of this case"))
	}
	f.Fuzz(func(t *testing.T, which uint8, edits []byte) {
		snap := &snapshot.Snapshot{Now: buildTime, Site: snapshot.Site{Standalone: which < 128}}
		edited := make([]any, 0, len(documents[int(which)%len(documents)]))
		for _, object := range documents[int(which)%len(documents)] {
			edited = append(edited, document.Clone(object))
		}
		for len(edits) >= 4 && len(edited) > 0 {
			at := int(edits[0]) % len(edited)
			word := words[(int(edits[2])<<8|int(edits[3]))%len(words)]
			edited[at] = document.Edit(edited[at], int(edits[1]), word, edits[1]%7)
			edits = edits[4:]
		}
		for _, document := range edited {
			addLeniently(snap, document)
		}
		checkProperties(t, snap)
	})
}

// fuzzDocuments are the objects of each case.
func fuzzDocuments(f *testing.F) (cases [][]any) {
	f.Helper()
	for _, path := range caseFiles(f) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var documents []any
		for text := range strings.SplitSeq(string(data), "\n---\n") {
			var document any
			if err := yaml.Unmarshal([]byte(text), &document); err != nil {
				f.Fatal(err)
			}
			documents = append(documents, document)
		}
		cases = append(cases, documents[1:])
	}
	return cases
}

// addLeniently adds the object in a document, if there is one.
func addLeniently(s *snapshot.Snapshot, document any) {
	data, err := json.Marshal(document)
	if err != nil {
		return
	}
	var head metav1.TypeMeta
	if json.Unmarshal(data, &head) != nil {
		return
	}
	switch gwapi.Kind(head.Kind) {
	case gwapi.KindGatewayClass:
		s.GatewayClasses = withLenient[gatewayv1.GatewayClass](s.GatewayClasses, data)
	case gwapi.KindGateway:
		s.Gateways = withLenient[gatewayv1.Gateway](s.Gateways, data)
	case gwapi.KindListenerSet:
		s.ListenerSets = withLenient[gatewayv1.ListenerSet](s.ListenerSets, data)
	case gwapi.KindHTTPRoute:
		s.HTTPRoutes = withLenient[gatewayv1.HTTPRoute](s.HTTPRoutes, data)
	case gwapi.KindGRPCRoute:
		s.GRPCRoutes = withLenient[gatewayv1.GRPCRoute](s.GRPCRoutes, data)
	case gwapi.KindTLSRoute:
		s.TLSRoutes = withLenient[gatewayv1.TLSRoute](s.TLSRoutes, data)
	case gwapi.KindTCPRoute:
		s.TCPRoutes = withLenient[gatewayv1.TCPRoute](s.TCPRoutes, data)
	case gwapi.KindReferenceGrant:
		s.ReferenceGrants = withLenient[gatewayv1.ReferenceGrant](s.ReferenceGrants, data)
	case gwapi.KindBackendTLSPolicy:
		s.TLSPolicies = withLenient[gatewayv1.BackendTLSPolicy](s.TLSPolicies, data)
	case gwapi.KindService:
		s.Services = withLenient[corev1.Service](s.Services, data)
	case gwapi.KindSecret:
		s.Secrets = withLenient[corev1.Secret](s.Secrets, data)
	case gwapi.KindConfigMap:
		s.ConfigMaps = withLenient[corev1.ConfigMap](s.ConfigMaps, data)
	case gwapi.KindNamespace:
		s.Namespaces = withLenient[corev1.Namespace](s.Namespaces, data)
	default:
	}
}

func withLenient[O any, T interface {
	*O
	metav1.Object
}](objects snapshot.Objects[T], data []byte) snapshot.Objects[T] {
	object := new(O)
	if json.Unmarshal(data, object) != nil {
		return objects
	}
	return objects.With(T(object))
}
