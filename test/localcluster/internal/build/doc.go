// Package build makes the cluster's programs from their Go modules, pinned in
// the component modules beside it. What is built is kept until a module's
// versions change, because the first build takes minutes.
package build
