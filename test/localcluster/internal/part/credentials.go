package part

import (
	"fmt"
	"net/netip"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/pki"
)

// AdminKubeconfig is the kubeconfig of somebody who may do everything, below the
// directory of the cluster.
const AdminKubeconfig = "kubeconfigs/admin"

// masters is the group that may do everything.
const masters = "system:masters"

// WriteCredentials makes the authorities, certificates, keys and kubeconfigs of
// the cluster.
func (p Plan) WriteCredentials(h home.Home, now time.Time) error {
	ca, caPair, err := pki.NewAuthority("backendtls-local-cluster", now)
	if err != nil {
		return err
	}
	etcd, etcdPair, err := pki.NewAuthority("backendtls-local-cluster-etcd", now)
	if err != nil {
		return err
	}
	pairs := map[string]pki.Pair{"ca": caPair, "etcd-ca": etcdPair}
	for name, subject := range p.subjects() {
		if pairs[name], err = ca.Issue(subject); err != nil {
			return err
		}
	}
	for name, subject := range etcdSubjects() {
		if pairs[name], err = etcd.Issue(subject); err != nil {
			return err
		}
	}
	for name, pair := range pairs {
		if err := writePair(h, "pki/"+name, pair); err != nil {
			return err
		}
	}
	if err := writeTokenKey(h); err != nil {
		return err
	}
	return p.writeKubeconfigs(h, caPair.Certificate, pairs)
}

// subjects are those that the cluster's authority speaks for.
func (p Plan) subjects() map[string]pki.Subject {
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	return map[string]pki.Subject{
		"kube-apiserver": {
			Name: "kube-apiserver", Server: true,
			DNSNames: []string{
				"kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local", "localhost",
			},
			Addresses: append(local, p.Node(), p.API()),
		},
		"kube-apiserver-kubelet-client": {Name: "kube-apiserver-kubelet-client", Groups: []string{masters}, Client: true},
		"kube-controller-manager": {
			Name: "system:kube-controller-manager", Client: true, Server: true,
			DNSNames: []string{"localhost"}, Addresses: local,
		},
		"kube-scheduler": {
			Name: "system:kube-scheduler", Client: true, Server: true,
			DNSNames: []string{"localhost"}, Addresses: local,
		},
		"kubelet":        {Name: "system:node:" + Node, Groups: []string{"system:nodes"}, Client: true},
		"kubelet-server": {Name: Node, Server: true, DNSNames: []string{Node}, Addresses: []netip.Addr{p.Node()}},
		"kube-proxy":     {Name: "system:kube-proxy", Client: true},
		"coredns":        {Name: DNSUser, Client: true},
		"load-balancer":  {Name: LoadBalancerUser, Client: true},
		"admin":          {Name: "admin", Groups: []string{masters}, Client: true},
	}
}

func etcdSubjects() map[string]pki.Subject {
	return map[string]pki.Subject{
		"etcd-server": {
			// A member is its own peer, and therefore a client too.
			Name: "etcd", Server: true, Client: true,
			DNSNames: []string{"localhost"}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		},
		"etcd-client": {Name: "kube-apiserver", Client: true},
	}
}

func writePair(h home.Home, name string, pair pki.Pair) error {
	if err := h.Write(name+".crt", pair.Certificate, 0o644); err != nil {
		return err
	}
	return h.Write(name+".key", pair.Key, 0o600)
}

func writeTokenKey(h home.Home) error {
	private, public, err := pki.NewKey()
	if err != nil {
		return err
	}
	if err := h.Write("pki/service-account.key", private, 0o600); err != nil {
		return err
	}
	return h.Write("pki/service-account.pub", public, 0o644)
}

func (p Plan) writeKubeconfigs(h home.Home, ca []byte, pairs map[string]pki.Pair) error {
	for _, name := range []string{
		"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "load-balancer",
	} {
		if err := p.writeKubeconfig(h, "kubeconfigs/"+name, ca, pairs[name]); err != nil {
			return err
		}
	}
	return p.writeKubeconfig(h, AdminKubeconfig, ca, pairs["admin"])
}

func (p Plan) writeKubeconfig(h home.Home, file string, ca []byte, pair pki.Pair) error {
	const name = "backendtls-local"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: p.Server(), CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key,
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	return h.Write(file, content, 0o600)
}
