package tunnel

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// ForbiddenError says that the person may not forward ports of a pod.
type ForbiddenError struct {
	Pod types.NamespacedName
	Err error
}

// Error names the rights that are missing.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("you may not forward ports of pods in namespace %s: that needs the verbs get and create "+
		"on pods/portforward", e.Pod.Namespace)
}

// Unwrap is the API server's answer.
func (e *ForbiddenError) Unwrap() error { return e.Err }

// RefusedError is what a kubelet says of a port that it cannot connect to.
type RefusedError struct {
	Port   uint16
	Reason string
}

// Error puts the usual reason in few words and leaves the others as they are.
func (e *RefusedError) Error() string {
	if strings.Contains(e.Reason, "connection refused") {
		return fmt.Sprintf("nothing listens on port %d of the pod's loopback (connection refused)", e.Port)
	}
	return "the kubelet says: " + e.Reason
}

// explain says in words what an upgrade failed by.
func explain(pod types.NamespacedName, err error) error {
	switch {
	case apierrors.IsForbidden(err) || strings.Contains(err.Error(), "is forbidden:"):
		return &ForbiddenError{Pod: pod, Err: err}
	case apierrors.IsNotFound(err), strings.Contains(err.Error(), fmt.Sprintf("pods %q not found", pod.Name)):
		return fmt.Errorf("pod %s is gone", pod)
	default:
		var status apierrors.APIStatus
		if errors.As(err, &status) && status.Status().Message != "" {
			return fmt.Errorf("port-forward to pod %s: %s", pod, status.Status().Message)
		}
		return fmt.Errorf("port-forward to pod %s: %w", pod, err)
	}
}
