#!/usr/bin/env bash
# The Gateway API's conformance suite on the operator: called by make conformance
# with the version of the operator and the names of tests, none for all.
# CONFORMANCE_KUBECONFIG names a cluster in which the operator and the images of
# the suite are already; KEEP=1 keeps all that was made.
set -euo pipefail
cd "$(dirname "$0")/.."
version="$1" only="$2"
out="$PWD/.build/conformance"
mkdir -p "$out"

echo "building the suite and its backend (two minutes the first time, seconds later)"
(
	cd test/conformance
	go build -o "$out/echo-basic" sigs.k8s.io/gateway-api-conformance-images/echo-basic
	go test -c -o "$out/conformance.test" .
)
arguments=(-test.v -test.timeout 60m -release "$version" -only "$only")
if [[ -z "$only" ]]; then
	arguments+=(-report "$PWD/docs/conformance/report.yaml")
fi
if [[ -n "${KEEP:-}" ]]; then
	arguments+=(-keep)
fi
if [[ -z "${CONFORMANCE_KUBECONFIG:-}" ]]; then
	make --no-print-directory cluster
	# Both tags that the suite's manifests name, of the one version that can be had.
	for tag in v0.1.0 v0.2.0; do
		.build/localcluster image --name "registry.k8s.io/gateway-api/conformance/echo-basic:$tag" \
			--binary "$out/echo-basic" --out "$out/echo-basic-$tag.tar"
	done
	.build/localcluster load "$out"/echo-basic-*.tar
	CONFORMANCE_KUBECONFIG="$PWD/.cluster/kubeconfig"
	arguments+=(-install)
fi
CONFORMANCE_KUBECONFIG="$(realpath "$CONFORMANCE_KUBECONFIG")"
cd test/conformance
result=0
KUBECONFIG="$CONFORMANCE_KUBECONFIG" "$out/conformance.test" "${arguments[@]}" >"$out/log" || result=$?
if ((result != 0)); then
	grep -E '^ *--- FAIL' "$out/log" || tail -n 20 "$out/log"
	echo "conformance: .build/conformance/log says why"
fi
exit "$result"
