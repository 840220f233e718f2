package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/backendtls/backendtls/test/localcluster/internal/part"
)

const (
	dnsName      = "kube-dns"
	dnsNamespace = metav1.NamespaceSystem
)

func (c *Cluster) kubernetes() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.home.Path(part.AdminKubeconfig))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// applyObjects makes the objects that the cluster's own parts need.
func (c *Cluster) applyObjects(ctx context.Context, plan part.Plan) error {
	client, err := c.kubernetes()
	if err != nil {
		return err
	}
	for _, grant := range grants() {
		if err := grant.create(ctx, client); err != nil {
			return err
		}
	}
	err = retry(ctx, func() error {
		_, err := client.CoreV1().Services(dnsNamespace).Create(ctx, dnsService(plan), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("service for names: %w", err)
	}
	return retry(ctx, func() error {
		_, err := client.DiscoveryV1().EndpointSlices(dnsNamespace).Create(ctx, dnsEndpoints(plan), metav1.CreateOptions{})
		return err
	})
}

// retry repeats until the API server, which has only just started, accepts it:
// its namespaces are made and its roles known a moment after it is ready.
func retry(ctx context.Context, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := step()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// grant lets a user of the cluster do what its part does.
type grant struct {
	user  string
	rules []rbacv1.PolicyRule
}

func grants() []grant {
	watch := []string{"list", "watch"}
	return []grant{
		{part.DNSUser, []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "pods", "namespaces"}, Verbs: watch},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: watch},
		}},
		{part.LoadBalancerUser, []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: watch},
			{APIGroups: []string{""}, Resources: []string{"services/status"}, Verbs: []string{"update"}},
		}},
	}
}

func (g grant) create(ctx context.Context, client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Name: g.user}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: g.rules}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: g.user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: g.user},
	}
	err := retry(ctx, func() error {
		_, err := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("role %s: %w", g.user, err)
	}
	return retry(ctx, func() error {
		_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
		return err
	})
}

// dnsService has no selector: the name server is a process of the node.
func dnsService(plan part.Plan) *corev1.Service {
	return &corev1.Service{
		Name: dnsName, Labels: map[string]string{"k8s-app": dnsName, "kubernetes.io/name": "CoreDNS"},
		Spec: corev1.ServiceSpec{
			ClusterIP: plan.DNS().String(),
			Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(53)},
			},
		},
	}
}

func dnsEndpoints(plan part.Plan) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		Name: dnsName, Labels: map[string]string{discoveryv1.LabelServiceName: dnsName},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{plan.Node().String()}}},
		Ports: []discoveryv1.EndpointPort{
			{Name: new("dns"), Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)},
			{Name: new("dns-tcp"), Port: new(int32(53)), Protocol: new(corev1.ProtocolTCP)},
		},
	}
}

// nodeReady waits until the node is ready and pods can be made.
func (c *Cluster) nodeReady(ctx context.Context) error {
	client, err := c.kubernetes()
	if err != nil {
		return err
	}
	return retry(ctx, func() error {
		node, err := client.CoreV1().Nodes().Get(ctx, part.Node, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("node: %w", err)
		}
		if why := notReady(node); why != "" {
			return fmt.Errorf("node %s is not ready: %s", part.Node, why)
		}
		_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func notReady(node *corev1.Node) string {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return condition.Message
		} else if condition.Type == corev1.NodeReady {
			return taint(node)
		}
	}
	return "it has said nothing yet"
}

// taint is what keeps pods off a node that has only just become ready.
func taint(node *corev1.Node) string {
	for _, taint := range node.Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoSchedule && taint.Key == corev1.TaintNodeNotReady {
			return "it still has the taint " + taint.Key
		}
	}
	return ""
}
