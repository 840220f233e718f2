package watch

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// trustBundlesDenied is what those are told who name a bundle that the operator
// may not read.
const trustBundlesDenied = "the operator may not read ClusterTrustBundles: its ClusterRole (backendtls-reader of " +
	"manifests/02-rbac.yaml) lacks list and watch of clustertrustbundles.certificates.k8s.io"

// newTrustBundles is the table of ClusterTrustBundles.
func newTrustBundles(s *Source) *table[*certificatesv1.ClusterTrustBundle] {
	t := newTable(s, gwapi.KindClusterTrustBundle, trustBundleDiffers)
	t.named = true
	return t
}

// trustBundles are the ClusterTrustBundles as a kind. Their objects are trust and
// nothing else, so that a cluster that serves none, or shows us none, is one in
// which whoever names one is refused; nobody else has to wait for them.
func (s *Source) trustBundles() *subject {
	for _, subject := range s.subjects {
		if subject.kind == gwapi.KindClusterTrustBundle {
			return subject
		}
	}
	return nil
}

// doubt asks again for ClusterTrustBundles that are followed, and says whether to
// ask once more, soon. By itself a watch of what is served no longer, or may be
// read no longer, keeps what it read last: traffic may, trust must not. It is the
// second such answer that counts, because an API server that is just starting
// may deny what it will grant.
func (s *Source) doubt(ctx context.Context) (again bool) {
	bundles := s.trustBundles()
	if bundles.following == nil || time.Since(bundles.asked) < s.pace.missing {
		return bundles.doubted
	}
	err := bundles.ask(ctx, s.config.Client, s.pace.patience)
	switch {
	case err == nil:
		bundles.doubted = false
	case !apierrors.IsForbidden(err) && !unserved(err):
		// Nobody answered, and what was read stays in force.
	case !bundles.doubted:
		bundles.doubted = true
	default:
		bundles.doubted = false
		s.lose(ctx, bundles, err)
	}
	return bundles.doubted
}

// lose ends the trust in ClusterTrustBundles, until follow finds them again.
func (s *Source) lose(ctx context.Context, bundles *subject, err error) {
	if ctx.Err() != nil {
		return
	}
	if err := s.config.Cache.RemoveInformer(ctx, bundles.object); err != nil {
		s.journal.warn("informer", "a watch of ClusterTrustBundles cannot be ended", "error", err)
	}
	bundles.following, bundles.denied = nil, apierrors.IsForbidden(err)
	s.config.Log.Warn("ClusterTrustBundles can be read no longer, what trusted only them fails closed", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	// What the old informer still delivers goes to the old table.
	s.tables.trustBundles = newTrustBundles(s)
	bundles.handler = handle(s.tables.trustBundles)
	s.noteTrustBundles()
}

// noteTrustBundles enters whether there are ClusterTrustBundles, once all that
// are followed were read. The caller holds mu.
func (s *Source) noteTrustBundles() {
	served, denied := s.trustBundles().following != nil, ""
	if s.trustBundles().denied {
		denied = trustBundlesDenied
	}
	if served == s.trustBundlesServed && denied == s.trustBundlesDenied {
		return
	}
	s.trustBundlesServed, s.trustBundlesDenied, s.current = served, denied, nil
	if s.synced {
		s.signal()
	}
}
