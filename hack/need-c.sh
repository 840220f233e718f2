#!/usr/bin/env bash
# Says in one line what is missing if the race detector cannot be linked: it is
# the only thing here that needs a C compiler and the headers of the C library.
set -euo pipefail

read -r -a compiler <<<"$(CGO_ENABLED=1 go env CC)"
if ! "${compiler[@]}" -x c -fsyntax-only - <<<'#include <pthread.h>' >/dev/null 2>&1; then
	echo "make test needs a C compiler and the C library's headers for Go's race detector" \
		"(Debian: apt-get install gcc libc6-dev)" >&2
	exit 1
fi
