package part

import (
	"github.com/backendtls/backendtls/test/localcluster/internal/home"
)

// Part is one process of the cluster.
type Part struct {
	Name      string
	Arguments []string
	Probe     Probe
}

// Probe is how a part is asked whether it works: by a request, or by whether
// its socket is answered.
type Probe struct {
	URL string
	// CA, Certificate and Key are files, needed for https.
	CA, Certificate, Key string
	Socket               string
}

func credential(name string) string { return home.Within("pki", name) }
func kubeconfig(name string) string { return home.Within("kubeconfigs", name) }
func config(name string) string     { return home.Within("config", name) }

// Parts are all processes, in an order in which they can be started.
func (p Plan) Parts() []Part {
	return []Part{
		p.containerd(), p.etcd(), p.apiServer(), p.controllerManager(), p.scheduler(),
		p.kubelet(), p.proxy(), p.dns(),
	}
}

// Names are the names of all parts, in the order of Parts.
func Names() []string {
	return []string{
		"containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
		"kubelet", "kube-proxy", "coredns",
	}
}

func flags(pairs ...string) []string {
	var arguments []string
	for i := 0; i < len(pairs); i += 2 {
		arguments = append(arguments, "--"+pairs[i]+"="+pairs[i+1])
	}
	return arguments
}

func (p Plan) containerd() Part {
	return Part{
		Name:      "containerd",
		Arguments: []string{"--config", config("containerd.toml")},
		Probe:     Probe{Socket: "/run/containerd/containerd.sock"},
	}
}

func (p Plan) etcd() Part {
	return Part{
		Name: "etcd",
		Arguments: append([]string{"--unsafe-no-fsync"}, flags(
			"name", Node,
			"data-dir", home.Within("etcd"),
			"listen-client-urls", "https://127.0.0.1:2379",
			"advertise-client-urls", "https://127.0.0.1:2379",
			"cert-file", credential("etcd-server.crt"),
			"key-file", credential("etcd-server.key"),
			"client-cert-auth", "true",
			"trusted-ca-file", credential("etcd-ca.crt"),
			// There is one member, yet it insists on an address for others.
			"listen-peer-urls", "https://127.0.0.1:2380",
			"initial-advertise-peer-urls", "https://127.0.0.1:2380",
			"initial-cluster", Node+"=https://127.0.0.1:2380",
			"peer-cert-file", credential("etcd-server.crt"),
			"peer-key-file", credential("etcd-server.key"),
			"peer-client-cert-auth", "true",
			"peer-trusted-ca-file", credential("etcd-ca.crt"),
			"log-level", "warn",
		)...),
		Probe: Probe{
			URL: "https://127.0.0.1:2379/readyz", CA: credential("etcd-ca.crt"),
			Certificate: credential("etcd-client.crt"), Key: credential("etcd-client.key"),
		},
	}
}

func (p Plan) apiServer() Part {
	return Part{
		Name: "kube-apiserver",
		Arguments: flags(
			"advertise-address", p.Node().String(),
			"secure-port", "6443",
			"tls-cert-file", credential("kube-apiserver.crt"),
			"tls-private-key-file", credential("kube-apiserver.key"),
			"client-ca-file", credential("ca.crt"),
			"anonymous-auth", "false",
			"audit-policy-file", config("audit.yaml"),
			// MiB and files: a suite must fit, and a cluster that stays up must end
			// somewhere.
			"audit-log-path", home.Within("audit.log"),
			"audit-log-maxsize", "100",
			"audit-log-maxbackup", "2",
			"authorization-mode", "Node,RBAC",
			"enable-admission-plugins", "NodeRestriction",
			"allow-privileged", "true",
			"etcd-servers", "https://127.0.0.1:2379",
			"etcd-cafile", credential("etcd-ca.crt"),
			"etcd-certfile", credential("etcd-client.crt"),
			"etcd-keyfile", credential("etcd-client.key"),
			"kubelet-certificate-authority", credential("ca.crt"),
			"kubelet-client-certificate", credential("kube-apiserver-kubelet-client.crt"),
			"kubelet-client-key", credential("kube-apiserver-kubelet-client.key"),
			"kubelet-preferred-address-types", "InternalIP",
			"service-account-issuer", "https://kubernetes.default.svc.cluster.local",
			"service-account-key-file", credential("service-account.pub"),
			"service-account-signing-key-file", credential("service-account.key"),
			"service-cluster-ip-range", p.Services().String(),
		),
		Probe: p.probe("https://"+p.Node().String()+":6443/readyz", "admin"),
	}
}

// probe asks with the credentials of somebody whom the cluster's authority
// knows.
func (p Plan) probe(url, who string) Probe {
	return Probe{URL: url, CA: credential("ca.crt"), Certificate: credential(who + ".crt"), Key: credential(who + ".key")}
}

func (p Plan) controllerManager() Part {
	return Part{
		Name: "kube-controller-manager",
		Arguments: flags(
			"kubeconfig", kubeconfig("kube-controller-manager"),
			"bind-address", "127.0.0.1",
			"tls-cert-file", credential("kube-controller-manager.crt"),
			"tls-private-key-file", credential("kube-controller-manager.key"),
			"leader-elect", "false",
			"use-service-account-credentials", "true",
			"service-account-private-key-file", credential("service-account.key"),
			"root-ca-file", credential("ca.crt"),
			"cluster-signing-cert-file", credential("ca.crt"),
			"cluster-signing-key-file", credential("ca.key"),
			"flex-volume-plugin-dir", home.Within("kubelet-plugins"),
			// Tests take the API server away for a minute. By default the node controller
			// then calls every pod unready, because no kubelet was heard of for 50 s.
			"node-monitor-grace-period", "5m",
			// The plan says which pods' addresses a node has.
			"allocate-node-cidrs", "false",
		),
		Probe: p.probe("https://127.0.0.1:10257/healthz", "admin"),
	}
}

func (p Plan) scheduler() Part {
	return Part{
		Name: "kube-scheduler",
		Arguments: flags(
			"kubeconfig", kubeconfig("kube-scheduler"),
			"bind-address", "127.0.0.1",
			"tls-cert-file", credential("kube-scheduler.crt"),
			"tls-private-key-file", credential("kube-scheduler.key"),
			"leader-elect", "false",
		),
		Probe: p.probe("https://127.0.0.1:10259/healthz", "admin"),
	}
}

func (p Plan) kubelet() Part {
	return Part{
		Name: "kubelet",
		Arguments: flags(
			"config", config("kubelet.yaml"),
			"kubeconfig", kubeconfig("kubelet"),
			"hostname-override", Node,
			"node-ip", p.Node().String(),
			"cert-dir", home.Within("kubelet", "pki"),
		),
		Probe: Probe{URL: "http://127.0.0.1:10248/healthz"},
	}
}

func (p Plan) proxy() Part {
	return Part{
		Name:      "kube-proxy",
		Arguments: flags("config", config("kube-proxy.yaml"), "hostname-override", Node),
		Probe:     Probe{URL: "http://127.0.0.1:10256/healthz"},
	}
}

func (p Plan) dns() Part {
	return Part{
		Name:      "coredns",
		Arguments: []string{"-conf", config("Corefile")},
		Probe:     Probe{URL: "http://127.0.0.1:8181/ready"},
	}
}
