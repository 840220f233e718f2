package manifest

import (
	"bytes"
	"encoding/pem"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// SystemRootsName is the ConfigMap that wellKnownCACertificates: System means.
var SystemRootsName = types.NamespacedName{Namespace: "backendtls-system", Name: "system-roots"}

// SystemRootsKey is the key of the bundle in it.
const SystemRootsKey = "ca.crt"

// SystemRoots is that ConfigMap made of Mozilla's roots as
// golang.org/x/crypto/x509roots has them, in its order: the same bytes for the
// same version of that module. Roots with a constraint (certificates issued
// after a date are not to be trusted) are left out, because neither PEM nor
// Envoy can express it, and without it they would be trusted more than Mozilla
// trusts them. It is always the same object; read only.
func SystemRoots() *corev1.ConfigMap { return systemRoots() }

var systemRoots = sync.OnceValue(func() *corev1.ConfigMap {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
	}
	key := gwapi.KeyOf(gwapi.KindConfigMap, SystemRootsName.Namespace, SystemRootsName.Name)
	configMap := &corev1.ConfigMap{Data: map[string]string{SystemRootsKey: text.String()}}
	configMap.APIVersion, configMap.Kind = APIVersion(key.Kind), string(key.Kind)
	configMap.Namespace, configMap.Name, configMap.UID = key.Namespace, key.Name, uid(key)
	configMap.Annotations = map[string]string{
		gwapi.Prefix + "source": "golang.org/x/crypto/x509roots/fallback, roots without constraints",
	}
	return configMap
})
