// Package release proves what people install: the archives of a release, the
// manifest that names them, and the plugin as krew links it, on a live Gateway.
// It builds the archive of the machine that it runs on; the package archives
// below builds all. Its tests need a real Envoy, and use kubectl and krew where
// they are on the PATH.
package release
