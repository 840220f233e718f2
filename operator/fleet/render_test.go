package fleet

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func settings() Settings {
	return Settings{OperatorNamespace: "backendtls-system", Authority: []byte(certificate)}
}

func web(edits ...func(*model.Gateway)) model.Gateway {
	gateway := model.Gateway{
		Key:           gwapi.KeyOf(gwapi.KindGateway, "shop", "web"),
		Address:       "0.0.0.0",
		ReadinessPort: model.DefaultReadinessPort,
		Fleet:         model.Fleet{Owner: "0000-web", Class: "backendtls"},
		Listeners: []model.Listener{
			{Port: 8080, Protocol: model.HTTP},
			{Port: 10443, Declared: 443, Protocol: model.HTTPS},
		},
	}
	for _, edit := range edits {
		edit(&gateway)
	}
	return gateway
}

// shaped has every wish that a Gateway or its GatewayParameters can have.
func shaped(g *model.Gateway) {
	g.Fleet.Labels = map[string]string{"team": "shop", LabelName: "mine", LabelGateway: "other"}
	g.Fleet.Annotations = map[string]string{"example.com/cost": "7", "example.com/lb": "of-gateway", bootstrapAnnotation: "none"}
	g.Fleet.Replicas = 5
	g.Fleet.Image = "registry.example.com/envoy:1"
	g.Fleet.Resources = []byte(`{"requests":{"cpu":"2"},"limits":{"cpu":"2500m","memory":"1Gi"}}`)
	g.Fleet.LogLevel = "debug"
	g.Fleet.ServiceType = "NodePort"
	g.Fleet.ServiceAnnotations = map[string]string{"example.com/lb": "of-class", "example.com/zone": "a"}
	g.Fleet.PodTemplate = []byte(`{"metadata":{"labels":{"mesh":"off"}},"spec":{"priorityClassName":"high",
		"tolerations":[{"key":"edge","operator":"Exists"}],
		"containers":[{"name":"envoy","env":[{"name":"TZ","value":"UTC"}]},{"name":"beside","image":"example.com/beside:1"}]}}`)
}

func TestFleetsMatchTheirGoldenFiles(t *testing.T) {
	for name, gateway := range map[string]model.Gateway{"plain": web(), "shaped": web(shaped)} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, object := range mustRender(t, gateway) {
				applied, err := unstructuredOf(object)
				if err != nil {
					t.Fatal(err)
				}
				text, err := yaml.Marshal(applied.Object)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s differs (-want +got):\n%s", file, diff)
			}
		})
	}
}

func mustRender(t *testing.T, gateway model.Gateway) []client.Object {
	t.Helper()
	objects, err := Render(gateway, settings())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// of is the object of that kind.
func of[T client.Object](t *testing.T, objects []client.Object) T {
	t.Helper()
	for _, object := range objects {
		if found, ok := object.(T); ok {
			return found
		}
	}
	t.Error("there is none of that kind")
	var none T
	return none
}

func TestANameIsADNSLabelThatNoOtherGatewayOfTheNamespaceHas(t *testing.T) {
	long := strings.Repeat("a", 51)
	names := map[string]string{}
	for _, gateway := range []string{
		"web", "a.b", "a-b", long, long + "a", long + "b", long + ".b", strings.Repeat("a.", 120) + "z", "1",
		strings.Repeat("-a", 120), strings.Repeat("a", 29) + "." + strings.Repeat("b", 200),
	} {
		name := Name(gwapi.KeyOf(gwapi.KindGateway, "default", gateway))
		if len(name) > 63 || strings.ContainsAny(name, "._") || strings.HasSuffix(name, "-") || !strings.HasPrefix(name, "backendtls-") {
			t.Errorf("%s: %s", gateway, name)
		}
		if other, twice := names[name]; twice {
			t.Errorf("%s and %s are both called %s", gateway, other, name)
		}
		names[name] = gateway
	}
	// A short name never looks like a shortened one, which has 63 characters.
	shortened := Name(gwapi.KeyOf(gwapi.KindGateway, "default", "a.b"))
	if got := Name(gwapi.KeyOf(gwapi.KindGateway, "default", strings.TrimPrefix(shortened, "backendtls-"))); got == shortened {
		t.Errorf("two Gateways are called %s", got)
	}
}

func TestWhatEnvoysTrustChangesWithoutARestart(t *testing.T) {
	before := mustRender(t, web())
	s := settings()
	ca, err := pki.SelfSigned(pki.Request{Name: "ca", CA: true, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.Authority = append(s.Authority, ca.PEM()...)
	after, err := Render(web(), s)
	if err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(of[*corev1.ConfigMap](t, before).Data, of[*corev1.ConfigMap](t, after).Data) {
		t.Error("the ConfigMap is the same")
	}
	if diff := cmp.Diff(of[*appsv1.Deployment](t, before), of[*appsv1.Deployment](t, after)); diff != "" {
		t.Errorf("the Deployment is another:\n%s", diff)
	}
}

func TestAPodThatTheOperatorDoesNotSeeGetsNoRequests(t *testing.T) {
	objects := mustRender(t, web())
	for what, selector := range map[string]map[string]string{
		"Service":    of[*corev1.Service](t, objects).Spec.Selector,
		"Deployment": of[*appsv1.Deployment](t, objects).Spec.Selector.MatchLabels,
	} {
		// The first is what pods are told apart by here, the second what the
		// operator's cache follows.
		if selector[LabelName] != EnvoyName || selector[LabelPartOf] != partOf {
			t.Errorf("the %s selects %v", what, selector)
		}
	}
}

func TestAGatewaysAnnotationsDoNotLoosenItsPods(t *testing.T) {
	objects := mustRender(t, web(func(g *model.Gateway) {
		g.Fleet.Annotations = map[string]string{
			"container.apparmor.security.beta.kubernetes.io/envoy": "unconfined", "example.com/team": "shop",
		}
	}))
	got := of[*appsv1.Deployment](t, objects).Spec.Template.Annotations
	if got["example.com/team"] != "shop" || len(got) != 2 {
		t.Errorf("the pods are annotated %v", got)
	}
}

func TestAnotherListenerRestartsNothing(t *testing.T) {
	before := mustRender(t, web())
	after := mustRender(t, web(func(g *model.Gateway) {
		g.Listeners = append(g.Listeners, model.Listener{Port: 9000, Protocol: model.HTTP})
	}))
	if diff := cmp.Diff(of[*appsv1.Deployment](t, before), of[*appsv1.Deployment](t, after)); diff != "" {
		t.Errorf("the Deployment is another:\n%s", diff)
	}
	if got := of[*corev1.Service](t, after).Spec.Ports; len(got) != 3 || got[2].Port != 9000 {
		t.Errorf("ports %v", got)
	}
}

func TestAPodTemplateCannotTakeAwayWhatAnEnvoyMustHave(t *testing.T) {
	ours := of[*appsv1.Deployment](t, mustRender(t, web())).Spec.Template
	for name, template := range map[string]string{
		"hosts":    `{"spec":{"hostNetwork":true,"hostPID":true,"hostIPC":true,"shareProcessNamespace":true}}`,
		"identity": `{"spec":{"serviceAccountName":"other","serviceAccount":"other","automountServiceAccountToken":true}}`,
		"pod security": `{"spec":{"securityContext":{"runAsNonRoot":false,"seccompProfile":{"type":"Unconfined"},
			"sysctls":[{"name":"net.core.somaxconn","value":"1"}]}}}`,
		"no pod security": `{"spec":{"securityContext":null}}`,
		"container security": `{"spec":{"containers":[{"name":"envoy","securityContext":{"privileged":true,
			"allowPrivilegeEscalation":true,"readOnlyRootFilesystem":false,"runAsNonRoot":false,
			"capabilities":{"add":["NET_ADMIN"],"drop":[]}}}]}}`,
		"command": `{"spec":{"containers":[{"name":"envoy","command":["sh"],"args":["-c","x"],"lifecycle":null,
			"readinessProbe":null}]}}`,
		"volumes":             `{"spec":{"volumes":[{"$patch":"replace"},{"name":"xds-token","emptyDir":{}}]}}`,
		"mounts":              `{"spec":{"containers":[{"name":"envoy","volumeMounts":[{"name":"x","mountPath":"/etc/backendtls"}]}]}}`,
		"no containers":       `{"spec":{"containers":[{"$patch":"replace"}],"initContainers":[{"$patch":"replace"}]}}`,
		"the container":       `{"spec":{"containers":[{"name":"envoy","$patch":"delete"}]}}`,
		"the time it takes":   `{"spec":{"terminationGracePeriodSeconds":1}}`,
		"labels":              `{"metadata":{"labels":{"app.kubernetes.io/name":"other"},"annotations":{"backendtls.dev/bootstrap":"x"}}}`,
		"another environment": `{"spec":{"containers":[{"name":"envoy","env":[{"name":"POD_NAME","value":"liar"}]}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			gateway := web(func(g *model.Gateway) { g.Fleet.PodTemplate = []byte(template) })
			got := of[*appsv1.Deployment](t, mustRender(t, gateway)).Spec.Template
			got.Spec.SecurityContext.RunAsUser, got.Spec.SecurityContext.RunAsGroup = ours.Spec.SecurityContext.RunAsUser, ours.Spec.SecurityContext.RunAsGroup
			got.Spec.SecurityContext.FSGroup = ours.Spec.SecurityContext.FSGroup
			if name == "no containers" || name == "the container" {
				got.Spec.Containers = ours.Spec.Containers // compared below
				whole := of[*appsv1.Deployment](t, mustRender(t, gateway)).Spec.Template.Spec
				if diff := cmp.Diff(ours.Spec.Containers, whole.Containers); diff != "" {
					t.Errorf("containers:\n%s", diff)
				}
			}
			byName := cmpopts.SortSlices(func(a, b corev1.Volume) bool { return a.Name < b.Name })
			if diff := cmp.Diff(ours, got, byName); diff != "" {
				t.Errorf("it takes this away:\n%s", diff)
			}
		})
	}
}

func TestAPodTemplateMayGiveTheUserToTheCluster(t *testing.T) {
	gateway := web(func(g *model.Gateway) {
		g.Fleet.PodTemplate = []byte(`{"spec":{"securityContext":{"runAsUser":null,"runAsGroup":null,"fsGroup":null}}}`)
	})
	got := of[*appsv1.Deployment](t, mustRender(t, gateway)).Spec.Template.Spec.SecurityContext
	if got.RunAsUser != nil || got.RunAsGroup != nil || got.FSGroup != nil || !*got.RunAsNonRoot {
		t.Errorf("%+v", got)
	}
}

func TestWhatCannotBeAPodTemplateIsSaid(t *testing.T) {
	for template, words := range map[string]string{
		`[]`:                                   "spec.envoy.podTemplate",
		`{"spec":{"containers":"none"}}`:       "spec.envoy.podTemplate",
		`{"spec":{"priorityClasName":"high"}}`: "priorityClasName",
		`{"spec":{"containers":[{"image":"without-a-name"}]}}`: "spec.envoy.podTemplate",
	} {
		gateway := web(func(g *model.Gateway) { g.Fleet.PodTemplate = []byte(template) })
		if _, err := Render(gateway, settings()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", template, err)
		}
	}
}

func TestThreadsFollowTheProcessorsThatEnvoyMayUse(t *testing.T) {
	for resources, want := range map[string]string{
		`{}`: "4", `{"limits":{"cpu":"500m"}}`: "1", `{"limits":{"cpu":"2500m"}}`: "3",
		`{"requests":{"cpu":"8"}}`: "8", `{"requests":{"cpu":"1"}}`: "4",
	} {
		gateway := web(func(g *model.Gateway) { g.Fleet.Resources = []byte(resources) })
		args := of[*appsv1.Deployment](t, mustRender(t, gateway)).Spec.Template.Spec.Containers[0].Args
		if !strings.Contains(strings.Join(args, " "), "--concurrency "+want+" ") {
			t.Errorf("%s: %v", resources, args)
		}
	}
}

func FuzzPodTemplate(f *testing.F) {
	f.Add(`{"spec":{"containers":[{"name":"envoy","$patch":"delete"}]}}`)
	f.Add(`{"spec":{"volumes":null,"containers":null}}`)
	f.Add(`{"spec":{"$retainKeys":["x"],"$setElementOrder/containers":[{"name":"x"}]}}`)
	f.Fuzz(func(t *testing.T, template string) {
		gateway := web(func(g *model.Gateway) { g.Fleet.PodTemplate = []byte(template) })
		objects, err := Render(gateway, settings())
		if err != nil {
			return
		}
		spec := of[*appsv1.Deployment](t, objects).Spec.Template.Spec
		for _, container := range spec.Containers {
			if container.Name == EnvoyContainer && *container.SecurityContext.RunAsNonRoot && spec.ServiceAccountName == "backendtls-web" {
				return
			}
		}
		t.Errorf("no Envoy in %+v", spec)
	})
}
