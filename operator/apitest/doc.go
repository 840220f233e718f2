// Package apitest is a Kubernetes API server in memory, for tests: real HTTP on
// the loopback, so that real clients, informers and caches run against it, with
// what a unit test wants to do to an API server and a real one does not offer.
//
// It knows get, list, watch (with initial events, bookmarks at their end,
// selectors and 410 Gone), create, update, patch (merge and server-side apply),
// delete and the status subresource, optimistic locking by resourceVersion, and
// generations that count changes of anything but metadata and status. It knows
// the kinds that the operator reads or writes. It does not validate, default,
// admit, authorise or collect garbage, and an apply never conflicts.
//
// Only tests import it.
//
//	server := apitest.New(t)
//	server.Put(gateway, route)
//	server.Hook(func(_ context.Context, r apitest.Request) error {
//		if r.Verb == "update" && r.Subresource == "status" {
//			return apierrors.NewConflict(...)
//		}
//		return nil
//	})
//	writer := status.New(status.Config{Client: server.Client()})
package apitest
