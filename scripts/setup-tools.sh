#!/bin/sh
# Install the first ring of tools that the tests compare with, only those that are missing: Debian's packages
# (as root; otherwise it says what to install), crane and the CNCF's registry by `go install`. `make test` calls it.
set -eu
cd "$(dirname "$0")/.."

crane=v0.22.1
registry=v3.0.0
staticcheck=v0.8.2
atheris=3.0.0 # as in the Makefile
tools=$PWD/.cache/tools/bin

say() { printf '%s\n' "$*" >&2; }

# What stands before the colon is the file or program that shows that the package after it is there.
missing_packages() {
    for pair in skopeo:skopeo umoci:umoci qemu-aarch64-static:qemu-user-static newuidmap:uidmap pasta:passt slirp4netns:slirp4netns ip:iproute2 nsenter:util-linux strace:strace \
        busybox:busybox-static mmdebstrap:mmdebstrap docker-registry:docker-registry zsh:zsh fish:fish readelf:binutils zstd:zstd git:git gcc:gcc \
        etcd:etcd-server ssh-agent:openssh-client chromium:chromium chromedriver:chromium-driver groff:groff-base tmux:tmux musl-gcc:musl-tools \
        /usr/include/stdio.h:libc6-dev /etc/ssl/certs/ca-certificates.crt:ca-certificates /usr/sbin/apparmor_parser:apparmor secilc:secilc; do
        case ${pair%%:*} in
        /*) [ -e "${pair%%:*}" ] || printf '%s ' "${pair##*:}" ;;
        *) command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair##*:}" ;;
        esac
    done
}

install_packages() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        say "notice: tests that need these Debian packages will be skipped: $missing"
        say "hint: as root: apt-get install --no-install-recommends $missing"
        return 0
    fi
    say "installing $missing"
    # shellcheck disable=SC2086 # a package is one word
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } \
        >&2 || say "notice: apt-get failed; tests that need these packages will be skipped (in CI they fail): $missing"
}

# install NAME VERSION PACKAGE
install() {
    [ -x "$tools/$1" ] && [ "$(cat "$tools/.$1" 2>/dev/null)" = "$2" ] && return 0
    say "installing $1 $2 with $(go env GOVERSION)"
    # -modcacherw: a module cache that anyone can delete with rm -r.
    GOBIN=$tools GOFLAGS="$(go env GOFLAGS) -modcacherw" CGO_ENABLED=0 go install "$3@$2"
    printf '%s\n' "$2" >"$tools/.$1"
}

# A registry with the referrers API: a few lines of Go around go-containerregistry's.
install_with_referrers() {
    wanted=$(cat tests/registry/with_referrers/main.go tests/registry/with_referrers/go.mod | cksum)
    [ -x "$tools/with-referrers" ] && [ "$(cat "$tools/.with-referrers" 2>/dev/null)" = "$wanted" ] && return 0
    say "building the registry with referrers with $(go env GOVERSION)"
    (cd tests/registry/with_referrers &&
        CGO_ENABLED=0 GOFLAGS="$(go env GOFLAGS) -modcacherw" go build -trimpath -o "$tools/with-referrers" .)
    printf '%s\n' "$wanted" >"$tools/.with-referrers"
}

# The fuzzer, for the test of its runner; it has no wheel for every Python.
install_fuzzer() {
    .venv/bin/python -c 'import atheris' 2>/dev/null && return 0
    say "installing atheris $atheris into .venv"
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --only-binary :all: --python .venv/bin/python "atheris==$atheris" && return 0
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: "atheris==$atheris" && return 0
    fi
    say "notice: atheris has no wheel for this Python; the test of \`make fuzz\` will be skipped"
}

PATH=$tools:/usr/sbin:/sbin:$PATH
mkdir -p "$tools"
install_packages
install crane "$crane" github.com/google/go-containerregistry/cmd/crane
install registry "$registry" github.com/distribution/distribution/v3/cmd/registry
install staticcheck "$staticcheck" honnef.co/go/tools/cmd/staticcheck
install_with_referrers
install_fuzzer
