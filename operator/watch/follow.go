package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// How to install what is missing.
const (
	installGatewayAPI = "kubectl apply --server-side -f " +
		"https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.7.0/standard-install.yaml"
	installOurs = "kubectl apply --server-side -f manifests/01-crd.yaml"
)

// findings are the kinds that are not followed yet, by why.
type findings struct {
	// missing and absent are CustomResourceDefinitions, of kinds that are needed
	// and of optional ones; forbidden are resources, denied those without which
	// everything else goes on.
	missing, absent, forbidden, denied []string
	// silence is the error where the API server gave no answer.
	silence error
	// install are the commands that install what is missing.
	install []string
}

// follow begins to watch what can be watched, and says whether nothing is
// missing that is needed.
func (s *Source) follow(ctx context.Context) bool {
	var found findings
	var unfollowed []*subject
	for _, subject := range s.subjects {
		if subject.following == nil {
			unfollowed = append(unfollowed, subject)
		}
	}
	ask := func(_ int, subject *subject) error { return subject.ask(ctx, s.config.Client, s.pace.patience) }
	for i, err := range askEach(unfollowed, ask, silent) {
		if err == nil {
			err = s.watch(ctx, unfollowed[i])
		}
		found.sort(unfollowed[i], err)
		if found.silence != nil {
			break // Nothing else will be answered now.
		}
	}
	if ctx.Err() == nil {
		s.tell(found)
	}
	return len(found.missing) == 0 && len(found.forbidden) == 0 && found.silence == nil
}

// sort enters what asking for a kind came to.
func (f *findings) sort(s *subject, err error) {
	switch {
	case err == nil:
	case apierrors.IsForbidden(err) && s.kind == gwapi.KindClusterTrustBundle:
		if !s.refusedOnce() {
			f.denied = append(f.denied, s.definition())
		}
	case apierrors.IsForbidden(err):
		f.forbidden = append(f.forbidden, schema.GroupResource{Group: s.version.Group, Resource: s.plural}.String())
	case silent(err):
		f.silence = err
	case s.optional:
		f.absent = append(f.absent, s.definition())
	default:
		f.missing = append(f.missing, fmt.Sprintf("%s (%s)", s.definition(), s.version.Version))
		command := installOurs
		if s.version.Group == gatewayv1.GroupName {
			command = installGatewayAPI
		}
		if !slices.Contains(f.install, command) {
			f.install = append(f.install, command)
		}
	}
}

// unserved says whether the API server does not know a kind.
func unserved(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

// silent says whether an error says nothing of the kind that was asked about.
func silent(err error) bool { return err != nil && !apierrors.IsForbidden(err) && !unserved(err) }

// watch begins to follow a kind.
func (s *Source) watch(ctx context.Context, subject *subject) error {
	informer, err := s.config.Cache.GetInformer(ctx, subject.object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	subject.following, err = informer.AddEventHandler(subject.handler)
	return err
}

// tell logs what is found, the same trouble rarely.
func (s *Source) tell(found findings) {
	if found.silence != nil {
		s.journal.err("silence", "the API server cannot be asked which objects there are; asking again",
			"error", found.silence)
		return
	}
	s.journal.over("silence")
	s.turned(&s.forbidden, found.forbidden)
	if len(found.forbidden) > 0 {
		s.journal.err(s.forbidden, "objects may not be listed, the operator needs get, list and watch of them (ClusterRole "+
			"backendtls-reader of manifests/02-rbac.yaml); asking again", "forbidden", found.forbidden)
	}
	s.turned(&s.missing, found.missing)
	if len(found.missing) > 0 {
		s.journal.err(s.missing, "waiting for CustomResourceDefinitions that are not installed, or not in the version in "+
			"brackets; nothing is served before", "missing", found.missing, "install", found.install)
	}
	// Without these a cluster may be for good, so that it is said once.
	if s.turned(&s.absent, found.absent) {
		s.config.Log.Info("optional kinds without objects, because the API server does not serve them",
			"absent", found.absent)
	}
	if s.turned(&s.denied, found.denied) {
		s.config.Log.Warn("policies and listeners that name one are refused: "+trustBundlesDenied, "forbidden", found.denied)
	}
}

// turned says whether a finding is another than before, and not just over. That it
// is over it logs.
func (s *Source) turned(last *string, list []string) bool {
	now := strings.Join(list, " ")
	if now == *last {
		return false
	}
	s.journal.over(*last)
	if now == "" {
		s.config.Log.Info("what was lacking is there now", "was", *last)
	}
	*last = now
	return now != ""
}
