package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The label that every object of ours has, the operator's and the Envoys' pods
// included.
const (
	partOfLabel = "app.kubernetes.io/part-of"
	partOf      = "backendtls"
)

// NewCache makes the cache that all rooms of the operator share. What nobody
// reads is dropped before it is stored; of the kinds that a fleet is made of
// (pods, Deployments and so on, but not Services) only objects labelled
// app.kubernetes.io/part-of=backendtls are followed; Secrets and ConfigMaps
// are to be asked for as metav1.PartialObjectMetadata only, because as typed
// objects every content in the cluster would be fetched and kept.
//
// Objects read from it are shared with everybody else who reads them: whoever
// wants to change one makes a DeepCopy first. The caller runs Start.
func NewCache(config *rest.Config, log *slog.Logger) (cache.Cache, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{partOfLabel: partOf})}
	complaints := newJournal(log)
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &persistent{next: next, complaints: complaints, pause: time.Second}
	})
	objects, err := cache.New(config, cache.Options{
		Scheme:                       scheme,
		Mapper:                       Mapper(),
		DefaultTransform:             transform,
		DefaultUnsafeDisableDeepCopy: new(true),
		DefaultWatchErrorHandler: func(ctx context.Context, reflector *toolscache.Reflector, err error) {
			watchFailed(ctx, complaints, reflector.TypeDescription(), err)
		},
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:                   ours,
			&corev1.ServiceAccount{}:        ours,
			&appsv1.Deployment{}:            ours,
			&appsv1.ReplicaSet{}:            ours,
			&networkingv1.NetworkPolicy{}:   ours,
			&policyv1.PodDisruptionBudget{}: ours,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cache of the API server's objects: %w", err)
	}
	return objects, nil
}

// watchFailed says that a watch ended with an error. It is begun anew by
// itself, and what was read stays; that a version became too old or that the
// server ended the watch is how watches go.
func watchFailed(ctx context.Context, complaints *journal, kind string, err error) {
	switch {
	case ctx.Err() != nil:
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		complaints.log.Debug("a watch is begun anew", "kind", kind, "error", err)
	default:
		complaints.warn("watch "+kind, "cannot watch objects, what was read last stays in force", "kind", kind, "error", err)
	}
}
