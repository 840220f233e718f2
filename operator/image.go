package operator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// operatorContainer is the name of the container of this program in its pod.
const operatorContainer = "operator"

// imagePatience is how long the API server may be away when the operator starts.
const imagePatience = 30 * time.Second

// ownImage is the image that this replica runs from, as its pod names it: Envoy
// pods take the program that drains them from the same one, also where an
// installation pulls it from a registry of its own.
func (c Cluster) ownImage(ctx context.Context, pods corev1client.PodInterface) (image string, err error) {
	var last error
	err = wait.PollUntilContextTimeout(ctx, time.Second, imagePatience, true, func(ctx context.Context) (bool, error) {
		// By a list, for which the right is there, and not by a get.
		var list *corev1.PodList
		if list, last = pods.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + c.PodName}); last != nil {
			return false, nil //nolint:nilerr // asked again
		}
		if len(list.Items) == 0 {
			last = fmt.Errorf("pod %s/%s does not exist", c.Namespace, c.PodName)
			return false, nil
		}
		for i := range list.Items[0].Spec.Containers {
			if container := &list.Items[0].Spec.Containers[i]; container.Name == operatorContainer {
				image = container.Image
				return true, nil
			}
		}
		return false, fmt.Errorf("pod %s/%s has no container %q", c.Namespace, c.PodName, operatorContainer)
	})
	switch {
	case err != nil && last != nil:
		return "", fmt.Errorf("reading which image this is: %w", last)
	case err != nil:
		return "", fmt.Errorf("reading which image this is: %w", err)
	default:
		return image, nil
	}
}
