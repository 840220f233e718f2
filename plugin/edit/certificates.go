package edit

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/inplace"
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
	if err := distinctRefusal(request); err != nil {
		return err
	}
	var leaves []*x509.Certificate
	for _, live := range request.Live {
		leaves = append(leaves, live.Chain[0])
	}
	for _, next := range request.Next {
		if next.Certificate == nil {
			return errKeyAlone(request.Form)
		}
		leaves = append(leaves, next.Certificate)
	}
	leaves = distinct(leaves)
	for _, leaf := range leaves {
		p.New = append(p.New, pin.OfCertificate(leaf))
	}
	p.New = sorted(p.New)
	if len(p.New) > maxCertificates {
		return fmt.Errorf("there are %d different certificates, and at most %d are pinned in a policy: "+
			"a new pod will not match; use --form ca", len(p.New), maxCertificates)
	}
	if err := p.bundle(policy, request.ConfigMap, keyLeaf, leaves); err != nil {
		return err
	}
	p.Edit.set(OptionCertificates, "configmap/"+p.ConfigMap.Name+":"+keyLeaf)
	p.Edit.remove(OptionPins)
	p.only(policy)
	return nil
}

// ca writes the authorities that the endpoints present, as standard fields.
func (p *Pinning) ca(policy *gatewayv1.BackendTLSPolicy, request Request) error {
	if len(request.Next) > 0 {
		return errors.New("--and-next: --form ca trusts whatever the authority issues next: leave --and-next out")
	}
	var authorities []*x509.Certificate
	for _, live := range request.Live {
		authority := live.Chain[len(live.Chain)-1]
		if !authority.IsCA {
			return fmt.Errorf("%s presents no certificate of a CA: use --form leaf, "+
				"or put the CA into a ConfigMap and name that in caCertificateRefs", live.Endpoint)
		}
		if authority.CheckSignatureFrom(authority) != nil {
			p.Partial = true
		}
		authorities = append(authorities, authority)
	}
	authorities = distinct(authorities)
	if err := verifies(policy, request, authorities); err != nil {
		return err
	}
	if err := p.bundle(policy, request.ConfigMap, keyCA, authorities); err != nil {
		return err
	}
	p.Edit.CARefs = []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: gatewayv1.ObjectName(p.ConfigMap.Name)}}
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
		if i := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Outcome == verify.Fail }); i >= 0 {
			return fmt.Errorf("%s does not verify against the CA that it presents: %s; use --form spki, or repair that",
				live.Endpoint, checks[i].Message)
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

// bundle makes the ConfigMap: a new one, or the live one with what it holds of
// ours replaced.
func (p *Pinning) bundle(
	policy *gatewayv1.BackendTLSPolicy, live *corev1.ConfigMap, key string, certificates []*x509.Certificate,
) error {
	name := ConfigMapName(policy.Name)
	if faults := validation.IsDNS1123Subdomain(name); len(faults) > 0 {
		return fmt.Errorf("the name %q of the ConfigMap cannot be used: %s", name, strings.Join(faults, "; "))
	}
	if live != nil && !Ours(live) {
		return fmt.Errorf("configmap/%s exists and is not this plugin's (it has no label %s: %s): "+
			"rename it and the references to it", live.Name, labelManagedBy, managedBy)
	}
	var text strings.Builder
	for _, certificate := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	p.ConfigMap = &corev1.ConfigMap{
		APIVersion: "v1", Kind: "ConfigMap",
		Namespace: policy.Namespace,
		Name:      name,
		Labels:    map[string]string{labelManagedBy: managedBy},
	}
	if live != nil {
		p.ConfigMap = live.DeepCopy()
		p.ConfigMap.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	}
	if p.ConfigMap.Data == nil {
		p.ConfigMap.Data = map[string]string{}
	}
	delete(p.ConfigMap.Data, keyLeaf)
	if !slices.Contains(references(policy), "configmap/"+name) {
		// Else it is the CA to go back to once the leaves are unpinned.
		delete(p.ConfigMap.Data, keyCA)
	}
	p.ConfigMap.Data[key] = text.String()
	return nil
}

// BundleIn writes what a ConfigMap of ours holds into the text of the file that
// has it. What its author added beside that stays.
func BundleIn(content []byte, at manifest.Object, configMap *corev1.ConfigMap) ([]byte, error) {
	place, err := placeOf(content, at)
	if err != nil {
		return nil, err
	}
	var set, removed []inplace.Change
	for _, key := range [...]string{keyCA, keyLeaf} {
		change := inplace.Change{Path: []string{"data", key}}
		text, found := configMap.Data[key]
		if !found {
			removed = append(removed, change)
			continue
		}
		change.Value = inplace.Text(text)
		set = append(set, change)
	}
	return inplace.Apply(content, place, append(set, removed...))
}

// Refers says whether the policy refers to the ConfigMap that this package
// makes for it.
func Refers(policy *gatewayv1.BackendTLSPolicy) bool {
	name := "configmap/" + ConfigMapName(policy.Name)
	return slices.Contains(references(policy), name) ||
		slices.ContainsFunc(elements(policy, OptionCertificates), func(reference string) bool {
			object, _, _ := strings.Cut(reference, ":")
			return object == name
		})
}

// Leaves are the certificates that a ConfigMap of ours pins as such, the oldest
// first; none of nil, and none where one cannot be read.
func Leaves(configMap *corev1.ConfigMap) []*x509.Certificate {
	if configMap == nil {
		return nil
	}
	var leaves []*x509.Certificate
	for rest := []byte(configMap.Data[keyLeaf]); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		leaves = append(leaves, leaf)
	}
	slices.SortStableFunc(leaves, func(a, b *x509.Certificate) int { return a.NotBefore.Compare(b.NotBefore) })
	return leaves
}

// Ours says whether a ConfigMap was made by this package.
func Ours(configMap *corev1.ConfigMap) bool {
	return configMap != nil && configMap.Labels[labelManagedBy] == managedBy
}
