package edit

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
)

// The keys of the ConfigMap. Every implementation reads ca.crt.
const (
	keyLeaf = "leaf.crt"
	keyCA   = "ca.crt"
)

// The label by which a ConfigMap is known to be ours to overwrite.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "kubectl-backendtls"
)

// ConfigMapName is the ConfigMap that the leaf and ca forms write for a policy.
func ConfigMapName(policy string) string { return policy + "-backendtls" }

// leaf writes the certificates themselves; unlike bare pins they are checked
// for dates and names.
func (p *Pinning) leaf(policy *gatewayv1.BackendTLSPolicy, request Request) error {
	if err := distinctKeys(request.Live); err != nil {
		return err
	}
	var leaves []*x509.Certificate
	for _, live := range request.Live {
		leaves = append(leaves, live.Chain[0])
	}
	for _, next := range request.Next {
		if next.Certificate == nil {
			return errors.New("--and-next: --form leaf needs the next certificate, not only its key: " +
				"use --form spki, or give the certificate")
		}
		leaves = append(leaves, next.Certificate)
	}
	leaves = distinct(leaves)
	for _, leaf := range leaves {
		p.New = append(p.New, pin.OfCertificate(leaf))
	}
	p.New = sorted(p.New)
	configMap, err := configMap(policy, request.ConfigMap, keyLeaf, leaves)
	if err != nil {
		return err
	}
	p.ConfigMap = configMap
	p.Edit.set(OptionCertificates, "configmap/"+configMap.Name+":"+keyLeaf)
	p.Edit.remove(OptionPins)
	p.only(policy)
	return nil
}

// ca writes the authorities that the endpoints present, as standard fields.
func (p *Pinning) ca(policy *gatewayv1.BackendTLSPolicy, request Request) error {
	if len(request.Next) > 0 {
		return errors.New("--and-next: --form ca trusts whatever the authority issues next, leave it out")
	}
	var authorities []*x509.Certificate
	for _, live := range request.Live {
		authority := live.Chain[len(live.Chain)-1]
		if !authority.IsCA {
			return fmt.Errorf("%s presents no CA certificate, only what it was issued: use --form leaf, "+
				"or put the CA into a ConfigMap and name it in caCertificateRefs", live.Endpoint)
		}
		authorities = append(authorities, authority)
	}
	authorities = distinct(authorities)
	if err := verifies(policy, request, authorities); err != nil {
		return err
	}
	configMap, err := configMap(policy, request.ConfigMap, keyCA, authorities)
	if err != nil {
		return err
	}
	p.ConfigMap = configMap
	p.Edit.CARefs = []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: gatewayv1.ObjectName(configMap.Name)}}
	p.Edit.DropWellKnown = true
	p.Edit.remove(OptionPins, OptionPinsOnly, OptionCertificates)
	return nil
}

// verifies refuses an authority that what is served does not verify against:
// the policy would be in force and every request would fail.
func verifies(policy *gatewayv1.BackendTLSPolicy, request Request, authorities []*x509.Certificate) error {
	trust := &model.Trust{Mode: model.Standard, Names: names(policy)}
	for _, authority := range authorities {
		trust.Anchors = append(trust.Anchors, authority.Raw)
	}
	for _, live := range request.Live {
		chain := make([][]byte, len(live.Chain))
		for i, certificate := range live.Chain {
			chain[i] = certificate.Raw
		}
		checks := verify.Verify(chain, trust, request.Now)
		if verify.Accepts(checks) {
			continue
		}
		for _, check := range checks {
			if check.Outcome == verify.Fail {
				return fmt.Errorf("%s does not verify against the CA it presents: %s", live.Endpoint, check.Message)
			}
		}
	}
	return nil
}

// names are what the policy asks a certificate to carry: subjectAltNames, or
// without any the hostname (BackendTLSPolicyValidation.subjectAltNames).
func names(policy *gatewayv1.BackendTLSPolicy) []model.Name {
	validation := policy.Spec.Validation
	if len(validation.SubjectAltNames) == 0 {
		return []model.Name{{Kind: model.DNS, Value: string(validation.Hostname)}}
	}
	wanted := make([]model.Name, 0, len(validation.SubjectAltNames))
	for _, name := range validation.SubjectAltNames {
		if name.Type == gatewayv1.URISubjectAltNameType {
			wanted = append(wanted, model.Name{Kind: model.URI, Value: string(name.URI)})
			continue
		}
		wanted = append(wanted, model.Name{Kind: model.DNS, Value: string(name.Hostname)})
	}
	return wanted
}

// configMap is the object to write: the live one with the certificates
// replaced, if it is ours, else a new one.
func configMap(
	policy *gatewayv1.BackendTLSPolicy, live *corev1.ConfigMap, key string, certificates []*x509.Certificate,
) (*corev1.ConfigMap, error) {
	name := ConfigMapName(policy.Name)
	if live != nil && live.Labels[labelManagedBy] != managedBy {
		return nil, fmt.Errorf("configmap %s/%s exists and is not of this plugin (no label %s=%s): "+
			"rename it, or choose another policy name with --policy-name",
			live.Namespace, live.Name, labelManagedBy, managedBy)
	}
	var bundle strings.Builder
	for _, certificate := range certificates {
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: policy.Namespace,
			Name:      name,
			Labels:    map[string]string{labelManagedBy: managedBy},
		},
		Data: map[string]string{key: bundle.String()},
	}, nil
}
