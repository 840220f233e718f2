// Package authn tells from a Kubernetes token who opened a gRPC stream: a pod,
// by name and UID, and for an Envoy the Gateway that the pod was made for.
//
// What is known here: the token is in the stream's metadata, once; the API
// server alone judges it, for one audience, through a TokenReview; what it says
// is believed only if it is whole: authenticated, for this audience, of a
// ServiceAccount, bound to a pod. Everything else is refused, also what could
// not be checked, and no answer is remembered: a review costs a few
// milliseconds, a stream lives for hours, and a remembered yes would outlive
// the pod it was for. What a token claims of itself is read only to refuse it
// without asking, and for the end of its validity, which a TokenReview does not
// tell, once the API server has vouched for the rest.
//
// Nothing of a token gets into an error or a log line.
//
// It must not import another room of the operator. Example:
//
//	envoys, err := authn.New(authn.Config{
//		Reviewer: clientset.AuthenticationV1().TokenReviews(), Lookup: fleet.Lookup, Audience: "backendtls-xds",
//	})
//	peer, err := envoys.Identify(stream.Context())
package authn
