package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

const (
	// root is the repository, from here.
	root   = "../.."
	system = "backendtls-system"
	class  = "backendtls"
)

// theirs are the namespaces of the suite, as kubectl names them.
var theirs = []string{
	"namespace/" + suite.InfrastructureNamespace,
	"namespace/" + suite.AppBackendNamespace,
	"namespace/" + suite.WebBackendNamespace,
}

// installation is the operator as `kubectl apply -k manifests` installs it.
type installation struct {
	// crds are the files of the Gateway API's CRDs that were not there before.
	crds []string
}

// install installs the Gateway API's CRDs and the operator. What another suite
// left of the operator is removed before, so that no old replica answers for
// the new one.
func install(ctx context.Context) (i installation, err error) {
	if _, err := kubectl(ctx, "delete", "gatewayclass/"+class, "--ignore-not-found"); err != nil &&
		!strings.Contains(err.Error(), "the server doesn't have a resource type") {
		return i, err
	}
	crds, err := filepath.Glob(filepath.Join(root, "internal/manifest/crds/gateway.networking.k8s.io_*.yaml"))
	if err != nil {
		return i, err
	}
	for _, file := range crds {
		if _, err := kubectl(ctx, "get", "-f", file); err != nil {
			i.crds = append(i.crds, file)
		}
	}
	for _, arguments := range [][]string{
		append([]string{"delete", "namespace/" + system, "--ignore-not-found", "--wait"}, theirs...),
		{"apply", "--server-side", "--force-conflicts", "-f", strings.Join(crds, ",")},
		{"apply", "-k", filepath.Join(root, "manifests")},
		{"apply", "-f", "testdata/parameters.yaml"},
	} {
		if _, err := kubectl(ctx, arguments...); err != nil {
			return i, err
		}
	}
	_, err = kubectl(ctx, "rollout", "status", "-n", system, "deployment/backendtls-operator", "--timeout=120s")
	if err != nil {
		pods, _ := kubectl(ctx, "get", "pods", "-n", system, "-o", "wide")
		return i, errors.Join(err, errors.New(pods))
	}
	return i, nil
}

// remove removes what install has made, and what an interrupted suite left: its
// Gateways before the operator, which removes what serves them.
func (i installation) remove(ctx context.Context) error {
	_, err := kubectl(ctx, append([]string{"delete", "--ignore-not-found", "--wait", "--timeout=120s"}, theirs...)...)
	_, problem := kubectl(ctx, "delete", "-k", filepath.Join(root, "manifests"),
		"--ignore-not-found", "--wait", "--timeout=120s")
	err = errors.Join(err, problem)
	if len(i.crds) > 0 {
		_, problem := kubectl(ctx, "delete", "-f", strings.Join(i.crds, ","), "--ignore-not-found", "--wait", "--timeout=60s")
		err = errors.Join(err, problem)
	}
	return err
}

// kubectl runs the local cluster's, as the administrator of the cluster that
// KUBECONFIG names.
func kubectl(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(root, ".cluster/bin/kubectl"), arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s",
			strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
