package edit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ErrChanged is wrapped by the errors about an object that is not any more what
// the change was made from.
var ErrChanged = errors.New("run the command again")

// attempts bounds how often a write is repeated because status changed.
const attempts = 5

// Server writes to an API server.
type Server struct{ Client client.Client }

// Get reads an object with its managedFields; nil if there is none.
func (s Server) Get(
	ctx context.Context, kind schema.GroupVersionKind, name types.NamespacedName,
) (*unstructured.Unstructured, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(kind)
	switch err := s.Client.Get(ctx, name, live); {
	case unserved(err):
		return nil, fmt.Errorf("the API server does not serve %s %s: %w", kind.GroupVersion(), kind.Kind, err)
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // Nil says that there is none, which is no error here.
	case err != nil:
		return nil, err
	default:
		return live, nil
	}
}

// unserved says whether not the object, but its kind is unknown to the API server:
// it then answers in plain text.
func unserved(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// DryRun asks the API server what it would make of the patch, admission
// included. Nothing is stored.
func (s Server) DryRun(ctx context.Context, p Patch) (*unstructured.Unstructured, error) {
	return s.persist(ctx, p, true)
}

// Write makes the change and returns the object as it is stored. Where nobody
// knows whether it was made, the error is an ErrWritten.
func (s Server) Write(ctx context.Context, p Patch) (*unstructured.Unstructured, error) {
	stored, err := s.persist(ctx, p, false)
	if err != nil && !refused(err) {
		err = Written(fmt.Errorf("whether %s is written is not known, because the API server did not say: %w", p, err))
	}
	return stored, err
}

// persist sends the patch. An operator writes status whenever something
// happens, which changes the resourceVersion too: if the object is else as it
// was, and the same managers own what the patch takes, the patch is what it was,
// and is sent again.
func (s Server) persist(ctx context.Context, p Patch, dryRun bool) (*unstructured.Unstructured, error) {
	for attempt := 1; ; attempt++ {
		written, err := s.send(ctx, p, dryRun)
		switch {
		case err == nil:
			return written, nil
		case p.Live == nil && apierrors.IsAlreadyExists(err):
			return nil, fmt.Errorf("%s exists by now: %w", p.String(), ErrChanged)
		case p.Live == nil || !stale(err):
			return nil, err
		}
		fresh, failed := s.Get(ctx, p.Kind(), p.Key())
		switch {
		case failed != nil:
			return nil, errors.Join(err, failed)
		case fresh == nil:
			return nil, fmt.Errorf("%s is gone: %w", p.String(), ErrChanged)
		case !p.same(fresh) || attempt == attempts:
			return nil, fmt.Errorf("%s has changed since the change was shown: %w", p.String(), ErrChanged)
		}
		p.Live = fresh
	}
}

func (s Server) send(ctx context.Context, p Patch, dryRun bool) (*unstructured.Unstructured, error) {
	body, err := p.Body()
	if err != nil {
		return nil, err
	}
	if body.Type == "" {
		created := p.New.DeepCopy()
		options := []client.CreateOption{client.FieldOwner(Manager)}
		if dryRun {
			options = append(options, client.DryRunAll)
		}
		return created, s.Client.Create(ctx, created, options...)
	}
	patched := p.Live.DeepCopy()
	options := []client.PatchOption{client.FieldOwner(Manager)}
	if body.Force {
		options = append(options, client.ForceOwnership)
	}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	return patched, s.Client.Patch(ctx, patched, client.RawPatch(body.Type, body.Data), options...)
}

// String names the object as kubectl does.
func (p Patch) String() string {
	if p.Kind() == ConfigMaps {
		return "configmap/" + p.Key().Name
	}
	return "btlspolicy/" + p.Key().Name
}

// stale says whether the object is not the one that the patch was made from. It
// may be gone, or a field may have got another owner.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) }

// same says whether the patch, made from this object instead, would be the same
// change of the same object.
func (p Patch) same(fresh *unstructured.Unstructured) bool {
	if p.Live.GetUID() != fresh.GetUID() {
		return false
	}
	for _, field := range [...][]string{{"spec"}, {"data"}, {"metadata", "labels"}} {
		whole := Field{Path: field}
		before, _ := whole.in(p.Live)
		now, _ := whole.in(fresh)
		if !equality.Semantic.DeepEqual(before, now) {
			return false
		}
	}
	again := p
	again.Live = fresh
	taken, err := p.Taken()
	takenNow, errNow := again.Taken()
	return err == nil && errNow == nil && slices.EqualFunc(taken, takenNow, func(a, b Taken) bool {
		return a.Manager == b.Manager && slices.Equal(a.Fields, b.Fields)
	})
}
