package watch

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

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

// refusedOnce says to ask once more, soon: it is the second refusal that counts,
// because an API server that is just starting may deny what it will grant.
func (s *subject) refusedOnce() bool { return s.refused == 1 }

// doubt asks again for ClusterTrustBundles that are followed. By itself a watch of
// what is served no longer, or may be read no longer, keeps what it read last:
// traffic may, trust must not.
func (s *Source) doubt(ctx context.Context) {
	bundles := s.trustBundles()
	if bundles.following == nil || time.Since(bundles.asked) < s.pace.missing {
		return
	}
	err := bundles.ask(ctx, s.config.Client, s.pace.patience)
	if bundles.refused > 0 && !bundles.refusedOnce() {
		s.lose(ctx, bundles, err)
	}
}

// lose ends the trust in ClusterTrustBundles, until follow finds them again.
func (s *Source) lose(ctx context.Context, bundles *subject, err error) {
	if ctx.Err() != nil {
		return
	}
	if err := s.config.Cache.RemoveInformer(ctx, bundles.object); err != nil {
		s.journal.warn("informer", "a watch of ClusterTrustBundles cannot be ended", "error", err)
	}
	bundles.following = nil
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
	if !served && s.trustBundles().denied {
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
