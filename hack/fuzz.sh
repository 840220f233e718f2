#!/usr/bin/env bash
# Usage: hack/fuzz.sh TIME
#
# Runs every fuzz target of the module for TIME, one after the other, and ends
# with an error if one finds something; the input is then in that package's
# testdata/fuzz and in the output.
#
# A test binary is built once per package. Only this module's packages are
# instrumented for coverage: `go test -fuzz` would compile every dependency
# anew, and coverage of Kubernetes' types leads nowhere.
set -euo pipefail
cd "$(dirname "$0")/.."

time="$1"
root="$PWD"
work="$root/.build/fuzz"
mkdir -p "$work/cache"

targets="$(grep -rEo --include='*_test.go' --exclude-dir='.?*' --exclude-dir=tools '^func Fuzz[A-Za-z0-9_]+' . | sort)" || true
[[ -n "$targets" ]] || {
	echo "fuzz: no target found" >&2
	exit 1
}

count=0
built=
while IFS=: read -r file function; do
	package="$(dirname "${file#./}")"
	target="${function#func }"
	binary="$work/${package//\//_}.test"
	if [[ "$built" != "$package" ]]; then
		go test -c -gcflags='github.com/backendtls/backendtls/...=-d=libfuzzer' -o "$binary" "./$package"
		built="$package"
	fi
	echo "fuzz $package $target"
	(cd "$package" && "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" \
		-test.fuzzcachedir "$work/cache/$package") >"$work/log" 2>&1 || {
		cat "$work/log"
		echo "fuzz: $package $target failed" >&2
		exit 1
	}
	tail -n 2 "$work/log"
	count=$((count + 1))
done <<<"$targets"
echo "fuzz: $count targets, $time each, nothing found"
