package watch_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
)

func tcpRoute(name string) *gatewayv1.TCPRoute {
	return &gatewayv1.TCPRoute{Namespace: "web", Name: name}
}

// needed are the resources without which nothing is served.
var neededResources = []string{
	"gatewayclasses", "gateways", "httproutes", "referencegrants", "backendtlspolicies", "gatewayparameters",
}

func TestMissingDefinitionsAreSaidOnceAndWaitedFor(t *testing.T) {
	for _, resource := range neededResources {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			server.Uninstall(resource)
			w := open(t, server, long)
			eventually(t, "it is said", func() bool { return len(w.log.lines("waiting for CustomResourceDef")) > 0 })
			w.noChange()
			if w.source.Snapshot() != nil {
				t.Error("a snapshot without " + resource)
			}
			lines := w.log.lines("waiting for CustomResourceDef")
			install := "gateway-api/releases/download/v1.7.0/standard-install.yaml"
			if resource == "gatewayparameters" {
				install = "manifests/01-crd.yaml"
			}
			if len(lines) != 1 || !strings.Contains(lines[0], resource+".") || !strings.Contains(lines[0], install) {
				t.Errorf("the log says %v", lines)
			}
			server.Install(resource, apitest.BundleVersion)
			w.awaitChange()
			if w.source.Snapshot() == nil {
				t.Error("no snapshot although all is there")
			}
			if len(w.log.lines("what was lacking is there now")) != 1 {
				t.Errorf("the log says\n%s", w.log)
			}
		})
	}
}

func TestWithoutAnyDefinitionOneLineNamesAllAndBothCommands(t *testing.T) {
	server := apitest.New(t)
	for _, resource := range append([]string{"listenersets", "grpcroutes", "tlsroutes", "tcproutes"}, neededResources...) {
		server.Uninstall(resource)
	}
	w := open(t, server, long)
	eventually(t, "it is said", func() bool { return len(w.log.lines("waiting for CustomResourceDef")) > 0 })
	w.noChange()
	lines := w.log.lines(`"level":"ERROR"`)
	if len(lines) != 1 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for _, part := range append([]string{"standard-install.yaml", "01-crd.yaml"}, neededResources...) {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%s is not in %s", part, lines[0])
		}
	}
}

func TestAnOptionalKindIsPickedUpWhenItIsInstalled(t *testing.T) {
	server := apitest.New(t)
	server.Uninstall("tcproutes")
	w := opened(t, server)
	if n := w.source.Snapshot().TCPRoutes.Len(); n != 0 {
		t.Errorf("%d TCPRoutes", n)
	}
	if len(w.log.lines("tcproutes.gateway.networking.k8s.io")) != 1 {
		t.Errorf("the log says\n%s", w.log)
	}
	w.noChange()
	server.Install("tcproutes", apitest.BundleVersion)
	server.Put(tcpRoute("r"))
	w.until("it is read", func(snap *snapshot.Snapshot) bool {
		return snap.TCPRoutes.Len() == 1 && len(snap.Bundles) == 9
	})
	w.awaitChange()
}

func TestADefinitionThatGoesAndComesBack(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(tcpRoute("r"))
	w := opened(t, server)
	server.Uninstall("tcproutes")
	w.until("its objects are gone", func(snap *snapshot.Snapshot) bool { return snap.TCPRoutes.Len() == 0 })
	server.Install("tcproutes", apitest.BundleVersion)
	server.Put(tcpRoute("again"))
	w.until("it is read again", func(snap *snapshot.Snapshot) bool { return snap.TCPRoutes.Len() == 1 })
}

func TestRightsThatAreLackingAreSaidAndWaitedFor(t *testing.T) {
	server := apitest.New(t)
	grant := server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "endpointslices" || r.Resource == "tlsroutes" {
			return apierrors.NewForbidden(schema.GroupResource{Group: r.Group, Resource: r.Resource}, "", errors.New("rbac"))
		}
		return nil
	})
	w := open(t, server, long)
	eventually(t, "it is said", func() bool { return len(w.log.lines("may not be listed")) > 0 })
	w.noChange()
	lines := w.log.lines("may not be listed")
	if len(lines) != 1 || !strings.Contains(lines[0], `"endpointslices.discovery.k8s.io"`) ||
		!strings.Contains(lines[0], `"tlsroutes.gateway.networking.k8s.io"`) {
		t.Errorf("the log says %v", lines)
	}
	grant()
	w.awaitChange()
	if w.source.Snapshot() == nil {
		t.Error("no snapshot")
	}
}

func TestAServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := apitest.New(t)
	server.Put(gateway("g"))
	server.SetAway(true)
	w := open(t, server, short)
	eventually(t, "it is said", func() bool { return len(w.log.lines("the API server cannot be asked")) > 0 })
	w.noChange()
	if n := len(w.log.lines("the API server cannot be asked")); n != 1 || w.source.Snapshot() != nil || w.source.Ready() {
		t.Errorf("said %d times, ready %v, snapshot %v", n, w.source.Ready(), w.source.Snapshot())
	}
	server.SetAway(false)
	w.awaitChange()
	if !w.source.Ready() {
		t.Error("not ready")
	}
	if w.source.Snapshot().Gateways.Len() != 1 {
		t.Error("the Gateway is not there")
	}
}

func TestAnUpgradeOfTheGatewayAPIIsAChange(t *testing.T) {
	server := apitest.New(t)
	w := opened(t, server)
	server.Install("gateways", "v1.8.1")
	w.awaitChange()
	if got := w.source.Snapshot().Bundles["gateways.gateway.networking.k8s.io"]; got != "v1.8.1" {
		t.Errorf("it is %q", got)
	}
	w.noChange()
}

func TestWithoutTheRightToReadDefinitionsNoVersionIsClaimed(t *testing.T) {
	server := apitest.New(t)
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "customresourcedefinitions" {
			return apierrors.NewForbidden(schema.GroupResource{Group: r.Group, Resource: r.Resource}, r.Name, errors.New("rbac"))
		}
		return nil
	})
	w := opened(t, server)
	if bundles := w.source.Snapshot().Bundles; bundles != nil {
		t.Errorf("bundles are %v", bundles)
	}
	w.noChange()
	if n := len(w.log.lines("SupportedVersion=Unknown")); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}
