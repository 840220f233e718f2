package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

//go:embed cluster.yaml
var clusterManifests string

// demoNamespace is made by the demo and removed by it.
const demoNamespace = "backendtls-demo"

// clusterOptions say which cluster.
type clusterOptions struct {
	kubectl string
	// kubeconfig is a file that belongs to the demo's cluster.
	kubeconfig string
	// context is a context of the user's own kubeconfig.
	context string
	// forward reaches the Gateway by port-forward, where its address cannot be
	// reached from here.
	forward bool
}

func (o *clusterOptions) flags() {
	flag.StringVar(&o.kubectl, "kubectl", "kubectl", "path of kubectl (cluster)")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of a cluster that was made for the demo")
	flag.StringVar(&o.context, "context", "", "context of your kubeconfig: shows the server and what it makes, and asks")
	flag.BoolVar(&o.forward, "forward", false, "reach the Gateway by port-forward, not by its address")
}

// cluster is the stage in a cluster, installed by the shipped manifests.
type cluster struct {
	kubectl

	dir     string
	forward *forward
	made    bool
}

func newCluster(ctx context.Context, o options) (_ *cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close(context.WithoutCancel(ctx)))
		}
	}()
	if c.binary, err = exec.LookPath(o.cluster.kubectl); err != nil {
		return nil, fmt.Errorf("kubectl is needed: %w", err)
	}
	if c.plugins, err = filepath.Abs(o.bin); err != nil {
		return nil, err
	}
	if c.dir, err = ownDirectory(o.root); err != nil {
		return nil, err
	}
	if err := c.kubeconfigOf(ctx, o.cluster); err != nil {
		return nil, err
	}
	if o.cluster.context != "" {
		if err := c.ask(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.install(ctx); err != nil {
		return nil, err
	}
	if err := c.fill(ctx); err != nil {
		return nil, err
	}
	if o.cluster.forward || o.cluster.context != "" {
		c.forward = &forward{kubectl: c.kubectl}
	}
	return c, nil
}

// kubeconfigOf writes a kubeconfig of one context, in which the demo's
// namespace is the default, so that what is typed is short and can reach no
// other cluster.
func (c *cluster) kubeconfigOf(ctx context.Context, o clusterOptions) error {
	arguments := []string{"config", "view", "--minify", "--flatten", "--raw"}
	command := exec.CommandContext(ctx, c.binary, arguments...)
	switch {
	case o.context != "":
		command.Args = append(command.Args, "--context", o.context)
	default:
		command.Args = append(command.Args, "--kubeconfig", o.kubeconfig)
	}
	content, err := command.Output()
	if err != nil {
		failure := &exec.ExitError{}
		if errors.As(err, &failure) {
			return fmt.Errorf("reading the kubeconfig: %s", strings.TrimSpace(string(failure.Stderr)))
		}
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	c.kubeconfig, c.cache = filepath.Join(c.dir, "kubeconfig"), filepath.Join(c.dir, "cache")
	if err := os.WriteFile(c.kubeconfig, content, 0o600); err != nil {
		return err
	}
	_, err = c.run(ctx, "config", "set-context", "--current", "--namespace", demoNamespace)
	return err
}

// fill makes what a team has.
func (c *cluster) fill(ctx context.Context) error {
	owner, err := c.run(ctx, "get", "namespace", demoNamespace, "--ignore-not-found",
		"-o", "jsonpath={.metadata.name} {.metadata.labels.app\\.kubernetes\\.io/managed-by}")
	if err != nil {
		return err
	}
	if name, by, exists := strings.Cut(owner, " "); exists && name != "" {
		if by != demoNamespace {
			return fmt.Errorf("namespace %s exists and is not the demo's: remove it first", demoNamespace)
		}
		c.say("removing what an earlier demo left behind")
		if _, err := c.run(ctx, "delete", "namespace", demoNamespace, "--wait"); err != nil {
			return err
		}
	}
	c.made = true
	authority, err := selfSigned(pki.Request{Name: "Demo CA, not the issuer of the backend's certificate", CA: true})
	if err != nil {
		return err
	}
	manifest, err := fillIn("cluster.yaml", clusterManifests, map[string]any{
		"Namespace": demoNamespace,
		"Hostname":  hostname,
		"Authority": strings.TrimSpace(string(authority.PEM())),
	})
	if err != nil {
		return err
	}
	if err := c.apply(ctx, manifest); err != nil {
		return err
	}
	if err := c.allow(ctx, false); err != nil {
		return err
	}
	return c.certificate(ctx)
}

// certificate gives the backends a new self-signed certificate.
func (c *cluster) certificate(ctx context.Context) error {
	identity, err := selfSigned(pki.Request{Name: "api", DNS: []string{hostname}})
	if err != nil {
		return err
	}
	key, err := identity.KeyPEM()
	if err != nil {
		return err
	}
	secret, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata":   map[string]any{"name": "api-certificate", "namespace": demoNamespace},
		"stringData": map[string]string{"tls.crt": string(identity.PEM()), "tls.key": string(key)},
	})
	if err != nil {
		return err
	}
	return c.apply(ctx, string(secret))
}

func (c *cluster) newKey(ctx context.Context) error {
	if err := c.certificate(ctx); err != nil {
		return err
	}
	if _, err := c.run(ctx, "rollout", "restart", "deployment/api"); err != nil {
		return err
	}
	return c.rolledOut(ctx, demoNamespace, "deployment/api")
}

func (c *cluster) rolledOut(ctx context.Context, namespace, workload string) error {
	_, err := c.run(ctx, "rollout", "status", "--timeout=180s", "-n", namespace, workload)
	if err == nil {
		return nil
	}
	pods, _ := c.run(ctx, "get", "pods", "-n", namespace, "-o", "wide")
	return fmt.Errorf("%w\n%s", err, pods)
}

func (c *cluster) allow(ctx context.Context, skip bool) error {
	manifest, err := fillIn("parameters.yaml", parameters, map[string]any{"Skip": skip})
	if err != nil {
		return err
	}
	return c.apply(ctx, manifest)
}

func (c *cluster) ready(ctx context.Context) (string, error) {
	if err := c.rolledOut(ctx, demoNamespace, "deployment/api"); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		done, err := c.programmed(bounded)
		if err == nil && done {
			return "operator, Envoys and two self-signed backends are up in the cluster", nil
		}
		select {
		case <-bounded.Done():
			status, _ := c.run(ctx, "get", "gateway,backendtlspolicy", "-o", "yaml")
			return "", fmt.Errorf("the policy is not programmed after 2 minutes (%w):\n%s", errors.Join(err), status)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// programmed reads the policy's status.
func (c *cluster) programmed(ctx context.Context) (bool, error) {
	output, err := c.run(ctx, "get", "backendtlspolicy", "api", "-o", "json")
	if err != nil {
		return false, err
	}
	var policy gatewayv1.BackendTLSPolicy
	if err := json.Unmarshal([]byte(output), &policy); err != nil {
		return false, err
	}
	for _, ancestor := range policy.Status.Ancestors {
		for _, condition := range ancestor.Conditions {
			if condition.Type == "Programmed" {
				return condition.Status == metav1.ConditionTrue &&
					condition.ObservedGeneration == policy.Generation, nil
			}
		}
	}
	return false, nil
}

// request asks the Gateway's address, or a port-forward to one of its Envoys.
func (c *cluster) request(ctx context.Context) int {
	base, err := c.address(ctx)
	if err != nil {
		return 0
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base, http.NoBody)
	if err != nil {
		return 0
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		c.forward.stop()
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func (c *cluster) address(ctx context.Context) (string, error) {
	if c.forward != nil {
		return c.forward.url(ctx)
	}
	address, err := c.run(ctx, "get", "gateway", "web", "-o", "jsonpath={.status.addresses[0].value}")
	if err != nil || address == "" {
		return "", errors.Join(err, errors.New("the Gateway has no address"))
	}
	return "http://" + address + "/", nil
}

// digest covers the generations of what a verb could write: status is not in
// them.
func (c *cluster) digest(ctx context.Context) (string, error) {
	return c.run(ctx, "get", "backendtlspolicies,httproutes,services,configmaps", "-o",
		"jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.generation} {.spec} {.data}\n{end}")
}

func (c *cluster) verb(ctx context.Context, arguments []string, _ bool) (string, *exec.Cmd) {
	arguments = append([]string{"backendtls"}, arguments...)
	return "kubectl " + strings.Join(arguments, " "), c.command(ctx, arguments...)
}

func (c *cluster) hint() string {
	return fmt.Sprintf(`In another terminal:

  export PATH=%[1]s:%[2]s:$PATH KUBECONFIG=%[3]s
  kubectl backendtls inspect svc/api
  kubectl backendtls fetch svc/api
  kubectl get gateway,httproute,backendtlspolicy
  kubectl logs -n backendtls-system deployment/backendtls-operator
`, c.plugins, c.absolute(filepath.Dir(c.binary)), c.absolute(c.kubeconfig))
}

func (c *cluster) absolute(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

func (c *cluster) lastWords(ctx context.Context) error {
	logs, err := c.run(ctx, "logs", "-n", "backendtls-system", "-l", "app.kubernetes.io/name=backendtls-operator",
		"--tail=15", "--prefix")
	if err != nil {
		return err
	}
	events, _ := c.run(ctx, "get", "events,pods", "-o", "wide")
	return fmt.Errorf("the operator's last words:\n%s\n%s", logs, events)
}

func (c *cluster) close(ctx context.Context) error {
	var err error
	c.forward.stop()
	if c.made {
		bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		c.say("\nRemoving namespace %s, which takes a moment.", demoNamespace)
		_, err = c.run(bounded, "delete", "namespace", demoNamespace, "--wait")
	}
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
		_ = os.Remove(filepath.Dir(c.dir))
	}
	return err
}

func (c *cluster) say(format string, arguments ...any) {
	fmt.Fprintf(os.Stdout, format+"\n", arguments...)
}
