package fleet

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

// hold keeps what a Gateway has: it must not be changed, because what is wanted
// is not known, or there is nothing to serve, and then no Envoy is started. Only
// the certificates that running Envoys trust are kept up to date, or they would
// lose the control plane.
func (f *Fleet) hold(ctx context.Context, gateway *model.Gateway, settings Settings) error {
	id := object{configMapKind, f.place(gateway.Key)}
	f.mu.Lock()
	there, exists := f.observed.live[id]
	f.mu.Unlock()
	trust, err := envoy.XDSTrust(settings.Authority)
	if err != nil {
		return refusal{"its Envoys cannot be described: " + err.Error()}
	}
	digest := model.Digest("held", string(trust))
	if !exists || there.leaving || there.labels[LabelManagedBy] != OperatorName || f.unchanged(id, digest, there) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	config := &corev1.ConfigMap{}
	if err := f.config.Client.Get(ctx, id.name, config); err != nil {
		return id.explain(err)
	}
	if config.Data[trustFile] == "" {
		// Somebody made it and gave it our labels: no Envoy reads it.
		return nil
	}
	if config.Data[trustFile] != string(trust) {
		// The rest is applied as it is: what is left out of an application is
		// removed.
		held := &corev1.ConfigMap{
			APIVersion: "v1", Kind: configMapKind.Kind,
			Namespace: config.Namespace, Name: config.Name, UID: config.UID, ResourceVersion: config.ResourceVersion,
			Labels: config.Labels, Annotations: config.Annotations, OwnerReferences: config.OwnerReferences,
			Data: config.Data,
		}
		held.Data[trustFile] = string(trust)
		applied, err := unstructuredOf(held)
		if err != nil {
			return err
		}
		if err := f.config.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied),
			client.FieldOwner(OperatorName), client.ForceOwnership); err != nil {
			return id.explain(err)
		}
		config.ResourceVersion = applied.GetResourceVersion()
		f.config.Log.Info("applied", "gateway", gateway.Key.String(), "object", id.String())
	}
	f.remember(id, application{digest: digest, resourceVersion: config.ResourceVersion})
	return nil
}
