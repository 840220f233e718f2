package resolve

import (
	"crypto/x509"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/pki"
)

// noon is the time of the tests.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const host = "api.example.com"

var (
	webKey    = gwapi.KeyOf(gwapi.KindGateway, "default", "web")
	apiKey    = gwapi.KeyOf(gwapi.KindService, "default", "api")
	policyKey = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
)

// certificates are what backends present in the tests. All but stranger have
// the same key, so that a public key's pin matches each of them.
type certificates struct {
	ca, other                                      *pki.Identity
	good, expired, misnamed, otherIssuer, stranger *pki.Identity
	selfSigned                                     *pki.Identity
	texts                                          map[string]string
	spki, spkiOfStranger, hash                     string
}

// testCertificates makes them once: keys cost time.
var testCertificates = sync.OnceValue(func() *certificates {
	must := func(identity *pki.Identity, err error) *pki.Identity {
		if err != nil {
			panic(err)
		}
		return identity
	}
	request := func(name string, edit func(*pki.Request)) pki.Request {
		r := pki.Request{
			Name: name, DNS: []string{host},
			NotBefore: noon.Add(-48 * time.Hour), NotAfter: noon.Add(48 * time.Hour),
		}
		if edit != nil {
			edit(&r)
		}
		return r
	}
	authority := func(r *pki.Request) { r.CA, r.DNS = true, nil }
	c := &certificates{
		ca:    must(pki.SelfSigned(request("ca", authority))),
		other: must(pki.SelfSigned(request("other ca", authority))),
	}
	c.good = must(c.ca.Issue(request("good", nil)))
	sameKey := func(edit func(*pki.Request)) func(*pki.Request) {
		return func(r *pki.Request) {
			r.Key = c.good.Key
			if edit != nil {
				edit(r)
			}
		}
	}
	c.expired = must(c.ca.Issue(request("expired", sameKey(func(r *pki.Request) { r.NotAfter = noon.Add(-time.Hour) }))))
	c.misnamed = must(c.ca.Issue(request("misnamed", sameKey(func(r *pki.Request) { r.DNS = []string{"x.example.com"} }))))
	c.otherIssuer = must(c.other.Issue(request("other issuer", sameKey(nil))))
	c.stranger = must(c.ca.Issue(request("stranger", nil)))
	c.selfSigned = must(pki.SelfSigned(request("self-signed", sameKey(nil))))
	c.spki = pin.OfKey(c.good.Certificate).String()
	c.spkiOfStranger = pin.OfKey(c.stranger.Certificate).String()
	c.hash = pin.OfCertificate(c.good.Certificate).String()

	key, err := pki.KeyPEM(c.good.Key)
	if err != nil {
		panic(err)
	}
	ca, good := string(c.ca.PEM()), string(c.good.PEM())
	c.texts = map[string]string{
		"CA":           ca,
		"OTHER":        string(c.other.PEM()),
		"CA_AND_OTHER": "two authorities:\n" + ca + string(c.other.PEM()) + ca,
		"HALF":         ca + strings.Replace(good, "MII", "M!I", 1),
		"KEY":          ca + string(key),
		"LEAF":         good,
		"LEAVES":       good + string(c.expired.PEM()) + string(c.misnamed.PEM()) + string(c.otherIssuer.PEM()),
		"SPKI":         c.spki,
		"STRANGE_SPKI": c.spkiOfStranger,
		"HASH":         c.hash,
	}
	return c
})

// world is a snapshot that a test builds up.
type world struct {
	t    *testing.T
	snap *snapshot.Snapshot
	// reaches are all ports of all Services from all Gateways unless set.
	reaches []reach
}

// newWorld is testdata/tlspolicy/base.yaml and the given documents, in which a
// later object replaces an earlier one of its name.
func newWorld(t *testing.T, documents ...string) *world {
	t.Helper()
	base, err := os.ReadFile(filepath.Join("testdata", "tlspolicy", "base.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, snap: &snapshot.Snapshot{Now: noon}}
	w.add(string(base))
	for _, document := range documents {
		w.add(document)
	}
	return w
}

// add reads YAML documents into the snapshot.
func (w *world) add(text string) {
	w.t.Helper()
	names := slices.SortedFunc(maps.Keys(testCertificates().texts), func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if !strings.Contains(text, "$") {
			break
		}
		quoted, err := json.Marshal(testCertificates().texts[name])
		if err != nil {
			w.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "$"+name, string(quoted))
	}
	for document := range strings.SplitSeq(text, "\n---\n") {
		w.addObject(w.kindOf(document), []byte(document))
	}
}

// known are the kinds and objects of all documents so far: thousands of worlds
// are made of few.
var known struct{ kinds, objects sync.Map }

func (w *world) kindOf(document string) gwapi.Kind {
	w.t.Helper()
	if kind, found := known.kinds.Load(document); found {
		return kind.(gwapi.Kind)
	}
	var head metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		w.t.Fatalf("%v in\n%s", err, document)
	}
	known.kinds.Store(document, gwapi.Kind(head.Kind))
	return gwapi.Kind(head.Kind)
}

func (w *world) addObject(kind gwapi.Kind, document []byte) {
	w.t.Helper()
	switch kind {
	case gwapi.KindGatewayClass:
		w.snap.GatewayClasses = w.snap.GatewayClasses.With(decode[gatewayv1.GatewayClass](w.t, document))
	case gwapi.KindGateway:
		w.snap.Gateways = w.snap.Gateways.With(decode[gatewayv1.Gateway](w.t, document))
	case gwapi.KindBackendTLSPolicy:
		w.snap.TLSPolicies = w.snap.TLSPolicies.With(decode[gatewayv1.BackendTLSPolicy](w.t, document))
	case gwapi.KindGatewayParameters:
		w.snap.Parameters = w.snap.Parameters.With(decode[v1alpha1.GatewayParameters](w.t, document))
	case gwapi.KindReferenceGrant:
		w.snap.ReferenceGrants = w.snap.ReferenceGrants.With(decode[gatewayv1.ReferenceGrant](w.t, document))
	case gwapi.KindService:
		w.snap.Services = w.snap.Services.With(decode[corev1.Service](w.t, document))
	case gwapi.KindNamespace:
		w.snap.Namespaces = w.snap.Namespaces.With(decode[corev1.Namespace](w.t, document))
	case gwapi.KindConfigMap:
		w.snap.ConfigMaps = w.snap.ConfigMaps.With(decode[corev1.ConfigMap](w.t, document))
	case gwapi.KindClusterTrustBundle:
		w.snap.TrustBundlesServed = true
		w.snap.TrustBundles = w.snap.TrustBundles.With(decode[certificatesv1.ClusterTrustBundle](w.t, document))
	case gwapi.KindSecret:
		secret := decode[corev1.Secret](w.t, document)
		secret.Data = map[string][]byte{}
		for key, text := range secret.StringData {
			secret.Data[key] = []byte(text)
		}
		w.snap.Secrets = w.snap.Secrets.With(secret)
	default:
		w.t.Fatalf("no kind %q in\n%s", kind, document)
	}
}

// decode reads a document; the object is the caller's own.
func decode[T any, P interface {
	*T
	DeepCopy() *T
}](t *testing.T, document []byte) *T {
	t.Helper()
	if object, found := known.objects.Load(string(document)); found {
		return object.(P).DeepCopy()
	}
	object := P(new(T))
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	known.objects.Store(string(document), object)
	return object.DeepCopy()
}

// policy reads a policy spec that targets svc/api unless it says otherwise.
func (w *world) policy(name, spec string) *gatewayv1.BackendTLSPolicy {
	w.t.Helper()
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ")
	if !strings.Contains(spec, "targetRefs:") {
		indented = "  targetRefs: [{group: \"\", kind: Service, name: api}]\n" + indented
	}
	w.add("apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n" +
		"metadata: {name: " + name + ", namespace: default, generation: 7}\nspec:\n" + indented)
	policy, _ := w.snap.TLSPolicies.Get(types.NamespacedName{Namespace: "default", Name: name})
	return policy
}

// built is one build of the policies of a world.
type built struct {
	*tlsPolicies

	t *testing.T
}

func (w *world) build() built {
	w.t.Helper()
	return w.buildFor(map[gwapi.Key]model.Gateway{})
}

func (w *world) buildFor(gateways map[gwapi.Key]model.Gateway) built {
	w.t.Helper()
	reaches := w.reaches
	if reaches == nil {
		reaches = w.allReaches()
	}
	b := newBuilder(w.snap)
	policies := newTLSPolicies(b, reaches)
	policies.report(gateways)
	return built{tlsPolicies: policies, t: w.t}
}

func (w *world) allReaches() []reach {
	var reaches []reach
	for _, gateway := range w.snap.Gateways.Sorted() {
		for _, service := range w.snap.Services.Sorted() {
			for _, port := range service.Spec.Ports {
				reaches = append(reaches, reach{
					Gateway: gwapi.KeyOf(gwapi.KindGateway, gateway.Namespace, gateway.Name),
					Service: gwapi.KeyOf(gwapi.KindService, service.Namespace, service.Name),
					Port:    port, Protocol: spokenBy(gwapi.KindHTTPRoute, port),
				})
			}
		}
	}
	return reaches
}

// at is the decision for a port of svc/api on gateway/web.
func (p built) at(port string) tlsDecision {
	p.t.Helper()
	return p.on(webKey, apiKey, port)
}

func (p built) on(gateway, service gwapi.Key, port string) tlsDecision {
	p.t.Helper()
	object, found := p.b.snap.Services.Get(service.NamespacedName())
	if !found {
		p.t.Fatalf("no %s", service)
	}
	for _, candidate := range object.Spec.Ports {
		if candidate.Name == port {
			return p.decide(reach{
				Gateway: gateway, Service: service, Port: candidate, Protocol: spokenBy(gwapi.KindHTTPRoute, candidate),
			})
		}
	}
	p.t.Fatalf("%s has no port %q", service, port)
	return tlsDecision{}
}

// entry is the conditions of a policy for a Gateway; nil if it has no entry.
func (p built) entry(policy, gateway gwapi.Key) map[string]metav1.Condition {
	p.t.Helper()
	for _, ancestor := range p.b.reports[policy].Ancestors {
		key, _ := gwapi.ParentKey(&ancestor.AncestorRef, policy.Namespace)
		if key != gateway {
			continue
		}
		conditions := map[string]metav1.Condition{}
		for _, condition := range ancestor.Conditions {
			conditions[condition.Type] = condition
		}
		return conditions
	}
	return nil
}

// expect compares a condition's reason and says what its message lacks.
func (p built) expect(policy gwapi.Key, kind string, reason report.PolicyReason, words ...string) {
	p.t.Helper()
	p.expectOn(policy, webKey, kind, reason, words...)
}

// expectOn is expect for another Gateway than gateway/web.
func (p built) expectOn(policy, gateway gwapi.Key, kind string, reason report.PolicyReason, words ...string) {
	p.t.Helper()
	condition, found := p.entry(policy, gateway)[kind]
	if !found {
		p.t.Fatalf("%s has no condition %s for %s", policy, kind, gateway)
	}
	if condition.Reason != string(reason) {
		p.t.Errorf("%s %s: %s=%s/%s (%s), want reason %s",
			policy, gateway, kind, condition.Status, condition.Reason, condition.Message, reason)
	}
	for _, word := range words {
		if !strings.Contains(condition.Message, word) {
			p.t.Errorf("%s %s: message lacks %q: %s", policy, kind, word, condition.Message)
		}
	}
}

// readBack writes the reported status of the policies into the snapshot, as the
// status writer and the source do, with an earlier transition kept.
func (w *world) readBack(p built) {
	w.t.Helper()
	for _, object := range w.snap.TLSPolicies.Sorted() {
		key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
		updated := object.DeepCopy()
		p.b.reports.Stamp(w.snap.Now)
		updated.Status.Ancestors = p.b.reports[key].Ancestors
		for i := range updated.Status.Ancestors {
			gateway, _ := gwapi.ParentKey(&updated.Status.Ancestors[i].AncestorRef, key.Namespace)
			live := liveEntryOf(object, gateway)
			conditions := slices.Clone(updated.Status.Ancestors[i].Conditions)
			for j, condition := range conditions {
				if old, found := live.find(condition.Type); found && old.Status == condition.Status {
					conditions[j].LastTransitionTime = old.LastTransitionTime
				}
			}
			updated.Status.Ancestors[i].Conditions = conditions
		}
		w.snap.TLSPolicies = w.snap.TLSPolicies.With(updated)
	}
}

func rawIdentities(identities ...*pki.Identity) []*x509.Certificate {
	raw := make([]*x509.Certificate, len(identities))
	for i, identity := range identities {
		raw[i] = identity.Certificate
	}
	return raw
}
