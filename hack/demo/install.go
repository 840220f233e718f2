package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// gatewayCRDs are the standard channel's that the project is built against.
const gatewayCRDs = "internal/manifest/crds/gateway.networking.k8s.io_*.yaml"

// ask shows which cluster it is and what will be made there, and wants a yes.
func (c *cluster) ask(ctx context.Context) error {
	server, err := c.run(ctx, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, `This makes in the cluster at %s:
  - the Gateway API's CRDs v1.7.0 (standard channel), if there are none
  - everything in manifests/: namespace backendtls-system, the operator, its roles, a CRD, GatewayClass backendtls
  - namespace %s with a Gateway, a route, two backends and a policy; removed at the end
Its nodes must be able to pull
  docker.io/backendtls/operator:v0.1.0, docker.io/backendtls/demo-backend:v0.1.0 (make image builds both)
  and docker.io/envoyproxy/envoy:distroless-v1.40.0.
Go on? (y/N): `, server, demoNamespace)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing was made")
	}
	return nil
}

// install brings the operator into the cluster, as its README says.
func (c *cluster) install(ctx context.Context) error {
	known, err := c.run(ctx, "get", "crd", "--ignore-not-found", "-o", "name", "gateways.gateway.networking.k8s.io")
	if err != nil {
		return err
	}
	if strings.TrimSpace(known) == "" {
		c.say("installing the Gateway API's CRDs v1.7.0")
		files, err := filepath.Glob(gatewayCRDs)
		if err != nil || len(files) == 0 {
			return fmt.Errorf("no files match %s: run the demo in the repository", gatewayCRDs)
		}
		if _, err := c.run(ctx, "apply", "--server-side", "-f", strings.Join(files, ",")); err != nil {
			return err
		}
		if err := c.listed(ctx, files); err != nil {
			return err
		}
	}
	c.say("installing the operator: kubectl apply -k manifests")
	if _, err := c.run(ctx, "apply", "-k", "manifests"); err != nil {
		return err
	}
	return c.rolledOut(ctx, "backendtls-system", "deployment/backendtls-operator")
}

// listed waits until the API server lists the kinds that the files define, named
// GROUP_PLURAL.yaml: it does so a moment after it has taken them.
func (c *cluster) listed(ctx context.Context, files []string) error {
	kinds := make([]string, len(files))
	for i, file := range files {
		group, plural, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), "_")
		kinds[i] = plural + "." + group
	}
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := c.run(ctx, "get", strings.Join(kinds, ","), "-o", "name")
		if err == nil {
			return nil
		}
		select {
		case <-bounded.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}
