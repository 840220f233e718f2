package loadbalancer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// retry is how long to wait after the API server refused something or was away.
const retry = time.Second

// Run hands out the pool's addresses until the context is cancelled. It waits
// for an API server that is not there.
func Run(ctx context.Context, kubeconfig string, pool netip.Prefix, log *slog.Logger) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("load balancer: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("load balancer: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default: // One round sees all that has changed before it.
		}
	}
	if _, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { signal() },
		UpdateFunc: func(any, any) { signal() },
		DeleteFunc: func(any) { signal() },
	}); err != nil {
		return fmt.Errorf("load balancer: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if !services.Informer().HasSynced() {
			// The first list is still arriving.
			cache.WaitForCacheSync(ctx.Done(), services.Informer().HasSynced)
		}
		all, err := services.Lister().List(labels.Everything())
		if err == nil {
			err = apply(ctx, client, assign(pool, sorted(all)))
		}
		if err != nil {
			log.Warn("load balancer addresses", "error", err)
			time.AfterFunc(retry, signal)
		}
	}
}

// sorted puts the oldest first: it keeps its address if two have the same.
func sorted(services []*corev1.Service) []*corev1.Service {
	return slices.SortedFunc(slices.Values(services), func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
}

func apply(ctx context.Context, client kubernetes.Interface, changes []assignment) error {
	for _, change := range changes {
		service := change.service.DeepCopy()
		service.Status.LoadBalancer.Ingress = nil
		if change.address.IsValid() {
			mode := corev1.LoadBalancerIPModeVIP
			service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
				{IP: change.address.String(), IPMode: &mode},
			}
		}
		_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
		if err != nil {
			return fmt.Errorf("service %s/%s: %w", service.Namespace, service.Name, err)
		}
	}
	return nil
}
