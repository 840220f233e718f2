#!/usr/bin/env bash
# A shell on the local cluster: kubectl, the plugin, kubeconfig and completion.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ! -r .cluster/kubeconfig ]]; then
	echo "shell: there is no local cluster: sudo make cluster brings one up" >&2
	exit 1
fi
make --no-print-directory build
rc="$(mktemp)"
trap 'rm -f "$rc"' EXIT
cat >"$rc" <<END
[ -r ~/.bashrc ] && . ~/.bashrc
export KUBECONFIG="$PWD/.cluster/kubeconfig" PATH="$PWD/bin:$PWD/.cluster/bin:\$PATH"
# Not your own: there kubectl may remember an earlier cluster of this address.
export KUBECACHEDIR="$PWD/.cluster/kubectl"
PS1='(backendtls) \w \\$ '
# bash-completion is what kubectl's completion builds on, where it is there.
[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion
. <(kubectl completion bash)
. <(kubectl-backendtls completion bash)
echo 'kubectl and kubectl backendtls are on the local cluster; exit leaves. Try: kubectl backendtls inspect -A'
END
bash --rcfile "$rc" -i
