#!/usr/bin/env bash
# The demo: on files, or in a cluster. Called by make demo: WHERE [--keep].
set -euo pipefail
cd "$(dirname "$0")/.."
where="$1"
shift

run() {
	go build -o .build/demo ./hack/demo
	.build/demo --bin bin "$@"
}

need() {
	command -v "$1" >/dev/null || {
		echo "demo: $1 is needed for CLUSTER=$where: $2" >&2
		exit 1
	}
}

case "$where" in
"")
	make --no-print-directory build envoy
	run --envoy "$ENVOY" "$@"
	;;
local)
	cat <<-'END'
		This brings up a Kubernetes node of real parts on this machine, without Docker: etcd, API server, kubelet,
		containerd and the rest, in network and mount namespaces of their own, below .cluster/. It needs root, because
		namespaces, mounts and cgroups do; nothing outside of them is changed. The first time builds Kubernetes: about
		10 minutes on 2 cores. Later one or two. `make cluster-down` removes every trace.
	END
	if [[ "$(id -u)" != 0 ]]; then
		echo "demo: you are not root: try sudo make demo CLUSTER=local, or CLUSTER=kind, or make demo" >&2
		exit 1
	fi
	make --no-print-directory build image cluster
	run --kubeconfig .cluster/kubeconfig --kubectl .cluster/bin/kubectl "$@"
	;;
kind)
	need docker "kind runs its node in it"
	need kind "https://kind.sigs.k8s.io"
	need kubectl "https://kubernetes.io/docs/tasks/tools"
	make --no-print-directory build image
	name="backendtls-demo-$$"
	kubeconfig="$(mktemp)"
	trap 'kind delete cluster --name "$name" --kubeconfig "$kubeconfig"; rm -f "$kubeconfig"' EXIT
	echo "This makes the kind cluster $name, and removes it at the end."
	kind create cluster --name "$name" --kubeconfig "$kubeconfig" --wait 2m
	for image in .build/images/*.tar; do
		kind load image-archive "$image" --name "$name"
	done
	run --kubeconfig "$kubeconfig" --kubectl kubectl --forward "$@"
	;;
context:?*)
	need kubectl "https://kubernetes.io/docs/tasks/tools"
	make --no-print-directory build
	run --context "${where#context:}" --kubectl kubectl "$@"
	;;
*)
	echo "demo: CLUSTER=$where: must be local, kind, or context:NAME of your kubeconfig; nothing for the demo on files" >&2
	exit 1
	;;
esac
