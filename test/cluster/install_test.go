package cluster

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
)

// root is the repository, from here.
const root = "../.."

// install is the operator as `kubectl apply -k manifests` installs it.
type install struct {
	// directory is the local cluster's: .cluster.
	directory string
	// kubeconfig is the administrator's; kubectl and the programs under test are
	// beside it and in bin.
	kubeconfig, kubectl, bin string
	rest                     *rest.Config
	client                   client.Client
	// began is when the tests did.
	began time.Time
	// audit is what the operator has asked the API server for since.
	audit audit
}

func newInstall(ctx context.Context) (*install, error) {
	i := &install{began: time.Now()}
	var err error
	if i.directory, err = filepath.Abs(filepath.Join(root, ".cluster")); err != nil {
		return nil, err
	}
	if i.bin, err = filepath.Abs(filepath.Join(root, "bin")); err != nil {
		return nil, err
	}
	i.kubeconfig = filepath.Join(i.directory, "kubeconfig")
	i.kubectl = filepath.Join(i.directory, "bin", "kubectl")
	// What kubectl remembers of a server it keeps by address, which an earlier
	// cluster has had too: it would know kinds that this one has not.
	if err := os.Setenv("KUBECACHEDIR", filepath.Join(i.directory, "kubectl")); err != nil {
		return nil, err
	}
	if _, err := os.Stat(i.kubeconfig); err != nil {
		return nil, fmt.Errorf("there is no local cluster (%w): these tests are run by `make test-cluster`", err)
	}
	if i.rest, err = clientcmd.BuildConfigFromFlags("", i.kubeconfig); err != nil {
		return nil, err
	}
	i.rest.QPS = -1
	if i.client, err = newClient(i.rest); err != nil {
		return nil, err
	}
	if i.audit, err = auditFrom(i.directory); err != nil {
		return nil, err
	}
	return i, i.apply(ctx)
}

func newClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// apply installs the CRDs and the operator, with the images that were just
// built. What another suite left is removed before, so that this one sees the
// operator do all that it does for the first time.
func (i *install) apply(ctx context.Context) error {
	crds, err := filepath.Glob(filepath.Join(root, "internal/manifest/crds/gateway.networking.k8s.io_*.yaml"))
	if err != nil {
		return err
	}
	// First, because in a new cluster no object of an unknown kind can be removed.
	if _, err := i.run(ctx, "apply", "--server-side", "--force-conflicts", "-f", strings.Join(crds, ",")); err != nil {
		return err
	}
	if err := i.known(ctx, "gatewayclasses.gateway.networking.k8s.io"); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"delete", "namespace/" + system, "gatewayclass/backendtls", "--ignore-not-found", "--wait"},
		{"apply", "-k", filepath.Join(root, "manifests")},
	} {
		if _, err := i.run(ctx, arguments...); err != nil {
			return err
		}
	}
	if _, err := i.run(ctx, "rollout", "status", "-n", system, "deployment/backendtls-operator", "--timeout=120s"); err != nil {
		logs, _ := i.run(ctx, "logs", "-n", system, "-l", "app.kubernetes.io/name=backendtls-operator", "--tail=30", "--prefix")
		pods, _ := i.run(ctx, "get", "pods", "-n", system, "-o", "wide")
		return errors.Join(err, errors.New(pods+logs))
	}
	return nil
}

// known waits until kubectl knows of a kind: the API server takes a definition,
// and lists the kind among those that it has a moment later.
func (i *install) known(ctx context.Context, kind string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := i.run(ctx, "get", kind)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// run runs kubectl as the administrator.
func (i *install) run(ctx context.Context, arguments ...string) (string, error) {
	return i.feed(ctx, "", arguments...)
}

func (i *install) feed(ctx context.Context, stdin string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, i.kubectl, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+i.kubeconfig,
		"PATH="+i.bin+string(filepath.ListSeparator)+filepath.Dir(i.kubectl)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s",
			strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// close judges the operator's roles by all that the tests made it do, if all
// tests ran. It leaves the operator installed, for whoever wants to look.
func (i *install) close() error {
	if selected("test.run") || selected("test.skip") {
		return nil
	}
	return i.audit.rights()
}

// selected says whether a flag of go test picks some tests among all.
func selected(name string) bool {
	pattern := flag.Lookup(name)
	return pattern != nil && pattern.Value.String() != ""
}
