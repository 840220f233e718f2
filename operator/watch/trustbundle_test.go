package watch_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/operator/watch"
)

func trustBundle(text string) *certificatesv1.ClusterTrustBundle {
	return &certificatesv1.ClusterTrustBundle{
		Name: "roots", Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: text},
	}
}

// unserved and denied are what the API server answers about a kind that it does
// not know, and about one that the operator may not read.
var (
	unserved = apierrors.NewGenericServerResponse(404, "list", schema.GroupResource{}, "", "no such resource", 0, true)
	denied   = apierrors.NewForbidden(
		schema.GroupResource{Group: "certificates.k8s.io", Resource: "clustertrustbundles"}, "", errors.New("rbac"))
)

// withhold has ClusterTrustBundles answered with an error, in the watches that
// run too, until it is called off.
func withhold(server *apitest.Server, err error) (end func()) {
	end = server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource == "clustertrustbundles" {
			return err
		}
		return nil
	})
	server.CutWatches("clustertrustbundles")
	return end
}

// bundles are the names of the ClusterTrustBundles of a Snapshot.
func bundles(snap *snapshot.Snapshot) string {
	var names []string
	for _, bundle := range snap.TrustBundles.Sorted() {
		names = append(names, bundle.Name)
	}
	return strings.Join(names, " ")
}

func TestTrustBundlesAreThereOnceTheyCanBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		says   string
	}{"the server does not serve them": {unserved, ""}, "the right is missing": {denied, "lacks list and watch of"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			install := withhold(server, c.answer)
			server.Put(trustBundle("one"))
			w := opened(t, server)
			snap := w.source.Snapshot()
			if snap.TrustBundlesServed || snap.TrustBundles.Len() != 0 || !w.source.Ready() {
				t.Errorf("served %v, %d of them, ready %v", snap.TrustBundlesServed, snap.TrustBundles.Len(), w.source.Ready())
			}
			if got := snap.TrustBundlesDenied; (got != "") != (c.says != "") || !strings.Contains(got, c.says) {
				t.Errorf("denied: %q", got)
			}
			w.noChange()
			if n := len(w.log.lines("lacks list and watch of clustertrustbundles.certificates.k8s.io")); (n == 1) != (c.says != "") {
				t.Errorf("the missing right is said %d times:\n%s", n, w.log)
			}
			install()
			w.awaitChange()
			w.until("they are read", func(snap *snapshot.Snapshot) bool {
				return snap.TrustBundlesServed && bundles(snap) == "roots" && snap.TrustBundlesDenied == ""
			})
		})
	}
}

func TestTrustBundlesThatCanBeReadNoLongerAreTrustedNoLonger(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		denied bool
	}{"the API is taken away": {unserved, false}, "the right is taken away": {denied, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			server.Put(trustBundle("one"))
			w := opened(t, server)
			w.need()
			comeBack := withhold(server, c.answer)
			w.awaitChange()
			w.until("nothing of them is trusted", func(snap *snapshot.Snapshot) bool {
				return !snap.TrustBundlesServed && bundles(snap) == "" && (snap.TrustBundlesDenied != "") == c.denied
			})
			if n := len(w.log.lines("can be read no longer")); n != 1 || !w.source.Ready() {
				t.Errorf("said %d times, ready %v", n, w.source.Ready())
			}
			server.Delete(trustBundle(""))
			server.Put(&certificatesv1.ClusterTrustBundle{Name: "later"})
			comeBack()
			w.until("those of now are read", func(snap *snapshot.Snapshot) bool {
				return snap.TrustBundlesServed && bundles(snap) == "later" && snap.TrustBundlesDenied == ""
			})
			server.Put(trustBundle("again"))
			w.until("they are followed", func(snap *snapshot.Snapshot) bool { return bundles(snap) == "later roots" })
		})
	}
}

func TestOneDenialByAServerThatStartsIsNoAnswer(t *testing.T) {
	server := apitest.New(t)
	server.Put(trustBundle("one"))
	asked := make(chan time.Time, 2)
	server.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Resource != "clustertrustbundles" {
			return nil
		}
		select {
		case asked <- time.Now():
		default:
		}
		if len(asked) == 1 {
			return denied
		}
		return nil
	})
	w := opened(t, server)
	if snap := w.source.Snapshot(); !snap.TrustBundlesServed || bundles(snap) != "roots" {
		t.Errorf("the first that is handed on has %q; denied: %q", bundles(snap), snap.TrustBundlesDenied)
	}
	if lines := w.log.lines("clustertrustbundles"); len(lines) != 0 {
		t.Errorf("the log says %v", lines)
	}
	if first, second := <-asked, <-asked; second.Sub(first) < watch.Missing {
		t.Errorf("it was asked again after %s, which is no time for a server", second.Sub(first))
	}
}

func TestEachTimeThatTheRightIsMissingIsSaidOnceAndThatItIsThereAgain(t *testing.T) {
	server := apitest.New(t)
	grant := withhold(server, denied)
	w := opened(t, server)
	for episode := 1; ; episode++ {
		const missing, there = "lacks list and watch of clustertrustbundles", "what was lacking is there now"
		eventually(t, "it is said that it is missing", func() bool { return len(w.log.lines(missing)) == episode })
		if lines := w.log.lines(there); len(lines) != episode-1 {
			t.Errorf("while it is missing, the log says %v", lines)
		}
		grant()
		eventually(t, "it is said that it is there", func() bool { return len(w.log.lines(there)) == episode })
		if lines := w.log.lines(missing); len(lines) != episode {
			t.Errorf("once it is there, the log says %v", lines)
		}
		if episode == 3 {
			return
		}
		grant = withhold(server, denied)
	}
}

func TestTrustBundlesStayWhileNobodySaysThatTheyAreGone(t *testing.T) {
	for name, answer := range map[string]func(asked int) error{
		"one denial by a server that starts, and then another": func(asked int) error {
			if asked%2 == 1 {
				return denied
			}
			return nil
		},
		"a fault of the server": func(int) error { return apierrors.NewInternalError(errors.New("etcd")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := apitest.New(t)
			server.Put(trustBundle("one"))
			w := opened(t, server)
			before := w.source.Snapshot()
			var asked atomic.Int64
			server.Hook(func(_ context.Context, r apitest.Request) error {
				if r.Resource != "clustertrustbundles" || !r.Metadata {
					return nil
				}
				return answer(int(asked.Add(1)))
			})
			eventually(t, "it is asked again and again", func() bool { return asked.Load() > 4 })
			w.noChange()
			if w.source.Snapshot() != before {
				t.Error("the snapshot did not stay")
			}
		})
	}
}

func TestATrustBundleThatIsNamedIsAChange(t *testing.T) {
	server := apitest.New(t)
	server.Put(trustBundle("one"))
	w := opened(t, server)
	gateway := gwapi.KeyOf(gwapi.KindGateway, "web", "o")
	key := gwapi.KeyOf(gwapi.KindClusterTrustBundle, "", "roots")
	w.source.Need(map[gwapi.Key][]gwapi.Key{key: {gateway}})
	w.noChange()
	server.Put(trustBundle("two"))
	w.until("the new one is read", func(snap *snapshot.Snapshot) bool {
		found, _ := snap.TrustBundles.Get(types.NamespacedName{Name: "roots"})
		return found != nil && found.Spec.TrustBundle == "two"
	})
	w.awaitChange()
}
