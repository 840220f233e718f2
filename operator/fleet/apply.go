package fleet

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// writeTimeout bounds one request to the API server.
const writeTimeout = 15 * time.Second

// application is what was last applied to an object.
type application struct {
	// digest is that of what was applied.
	digest string
	// resourceVersion is the object's afterwards; print is its fingerprint, once
	// the cache has shown that version.
	resourceVersion, print string
}

// A refusal is a reason that stands until somebody changes something: it is
// told in the Gateway's status.
type refusal struct{ words string }

func (r refusal) Error() string { return r.words }

// errPassing says that an object of an earlier Gateway of that name is still
// being removed.
var errPassing = errors.New("is of an earlier Gateway of that name and being removed")

// attempt is reconcile, in which a panic over one Gateway's objects is that
// Gateway's fault and not the end of every other's operator.
func (f *Fleet) attempt(ctx context.Context, key gwapi.Key) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			f.config.Log.Error("a gateway's fleet panicked", "gateway", key.String(), "panic", fault,
				"stack", string(debug.Stack()))
			err = refusal{"its Envoys cannot be brought about: internal fault, see the operator's log"}
			f.tell(key, err)
		}
	}()
	return f.reconcile(ctx, key)
}

// reconcile brings about one Gateway's fleet. An error means: once more, later.
func (f *Fleet) reconcile(ctx context.Context, key gwapi.Key) error {
	f.mu.Lock()
	gateway, desired := f.desired[key]
	f.mu.Unlock()
	authority := f.config.Authority()
	if !desired || !f.config.Leading() || len(authority) == 0 {
		return nil
	}
	settings := Settings{
		OperatorNamespace: f.config.OperatorNamespace, OperatorImage: f.config.OperatorImage, Authority: authority,
	}
	var err error
	if gateway.Unresolved || len(gateway.Listeners) == 0 {
		err = f.hold(ctx, &gateway, settings)
	} else {
		err = f.apply(ctx, gateway, settings)
	}
	f.tell(key, err)
	return err
}

// tell keeps what is to be said in the Gateway's status, and logs what is new.
// Of errors that may pass by themselves only the log speaks.
func (f *Fleet) tell(key gwapi.Key, err error) {
	words := ""
	if refused, stands := errors.AsType[refusal](err); stands {
		words = refused.words
	}
	f.mu.Lock()
	_, desired := f.desired[key]
	before := f.faults[key]
	if words == "" || !desired {
		delete(f.faults, key)
	} else {
		f.faults[key] = words
	}
	f.mu.Unlock()
	switch {
	case words != "" && words != before:
		f.config.Log.Error("the Envoys of a gateway are not as they should be", "gateway", key.String(), "error", words)
	case err != nil && words == "" && !errors.Is(err, context.Canceled):
		f.config.Log.Warn("the Envoys of a gateway are tried again", "gateway", key.String(), "error", err)
	case err == nil && before != "":
		f.config.Log.Info("the Envoys of a gateway are as they should be again", "gateway", key.String())
	}
	if words != before {
		notify(f.changes)
	}
}

// apply applies all objects of a Gateway.
func (f *Fleet) apply(ctx context.Context, gateway model.Gateway, settings Settings) error {
	objects, err := Render(gateway, settings)
	if err != nil {
		return refusal{"its Envoys cannot be described: " + err.Error()}
	}
	for _, desired := range objects {
		if err := f.applyObject(ctx, &gateway, desired); err != nil {
			return err
		}
	}
	return nil
}

// applyObject applies one object unless it is what it should be.
func (f *Fleet) applyObject(ctx context.Context, gateway *model.Gateway, desired client.Object) error {
	applied, err := unstructuredOf(desired)
	if err != nil {
		return refusal{"its Envoys cannot be described: " + err.Error()}
	}
	id := object{applied.GroupVersionKind(), client.ObjectKeyFromObject(desired)}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	there, exists, err := f.find(ctx, id)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if exists {
		if err := there.admit(gateway); err != nil {
			return id.explain(err)
		}
	}
	digest := model.Digest(applied.Object)
	if exists && f.unchanged(id, digest, there) {
		return nil
	}
	options := []client.ApplyOption{client.FieldOwner(OperatorName)}
	if exists {
		// Of an object that is ours every field that we name is ours. One that
		// appears meanwhile is not taken over, nor is one that took its place.
		applied.SetUID(there.uid)
		options = append(options, client.ForceOwnership)
	}
	err = f.config.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), options...)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		// The Gateway goes too, and that is nobody's fault.
		return nil
	}
	if err != nil {
		return id.explain(err)
	}
	f.remember(id, application{digest: digest, resourceVersion: applied.GetResourceVersion()})
	if !exists || applied.GetResourceVersion() != there.resourceVersion {
		f.config.Log.Info("applied", "gateway", gateway.Key.String(), "object", id.String())
	}
	return nil
}

// remember keeps what was applied, and what the object looks like afterwards if
// that was seen already; else see adds it.
func (f *Fleet) remember(id object, last application) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if there := f.observed.live[id]; there.resourceVersion == last.resourceVersion {
		last.print = there.print
	}
	f.applied[id] = last
}

// find is the object as it is now. Where the cache does not have it, there may
// still be one, without our labels.
func (f *Fleet) find(ctx context.Context, id object) (there live, exists bool, err error) {
	f.mu.Lock()
	there, exists = f.observed.live[id]
	f.mu.Unlock()
	if exists {
		return there, true, nil
	}
	found := metadata(id.kind)
	err = f.config.Client.Get(ctx, id.name, found)
	if apierrors.IsNotFound(err) {
		return live{}, false, nil
	}
	return describe(found), err == nil, err
}

// admit says why an object must be left alone: it is somebody else's. One that
// has lost its owner but has our labels is taken back.
func (l live) admit(gateway *model.Gateway) error {
	earlier := l.controller != nil && l.controller.Kind == string(gwapi.KindGateway) &&
		l.controller.Name == gateway.Key.Name
	switch {
	case l.leaving:
		return errPassing
	case l.owned(gateway):
		return nil
	case earlier:
		return errPassing
	case l.controller != nil:
		return refusal{fmt.Sprintf("exists and is controlled by %s %s", l.controller.Kind, l.controller.Name)}
	case l.labels[LabelManagedBy] != OperatorName || l.labels[LabelGateway] != labelValue(gateway.Key.Name):
		return refusal{"exists and was not made by this operator"}
	default:
		return nil
	}
}

// unchanged says whether the object is as it was left after the same was
// applied, but for what the cluster itself writes. As long as the version that
// was left has not been seen, an older one says nothing.
func (f *Fleet) unchanged(id object, digest string, there live) bool {
	f.mu.Lock()
	last, known := f.applied[id]
	f.mu.Unlock()
	if !known || last.digest != digest {
		return false
	}
	if last.print != "" {
		return last.print == there.print
	}
	order, err := resourceversion.CompareResourceVersion(there.resourceVersion, last.resourceVersion)
	return err == nil && order <= 0
}

// explain is an error that came of writing an object, in words for whoever reads
// the Gateway's status where it does not pass by itself.
func (o object) explain(err error) error {
	refused, stands := errors.AsType[refusal](err)
	switch {
	case stands:
		return refusal{fmt.Sprintf("%s %s; delete or rename it, or rename the Gateway", o, refused.words)}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return refusal{fmt.Sprintf("%s is refused by the API server: %v", o, err)}
	default:
		return fmt.Errorf("%s: %w", o, err)
	}
}

// String is the form used in messages: kind/namespace/name.
func (o object) String() string {
	return gwapi.KeyOf(gwapi.Kind(o.kind.Kind), o.name.Namespace, o.name.Name).String()
}

// describe is what is remembered of an object.
func describe(found client.Object) live {
	return live{
		uid:             found.GetUID(),
		resourceVersion: found.GetResourceVersion(),
		leaving:         found.GetDeletionTimestamp() != nil,
		labels:          found.GetLabels(),
		controller:      metav1.GetControllerOf(found),
		print:           fingerprint(found),
	}
}

// unstructuredOf is an object as it is applied: without a status, which is the
// cluster's.
func unstructuredOf(desired client.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

// forget drops what is known of a Gateway that is no longer ours.
func (f *Fleet) forget(key gwapi.Key) {
	place := f.place(key)
	for id := range f.applied {
		if id.name == place {
			delete(f.applied, id)
		}
	}
}
