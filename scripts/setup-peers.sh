#!/bin/sh
# Install the second ring, which takes long or is heavy: ko, by `go install`, and Debian's Docker (as root). What
# serves ko its base image on loopback is crane, of the first ring.
set -eu
cd "$(dirname "$0")/.."

ko=v0.19.1
tools=$PWD/.cache/tools/bin

say() { printf '%s\n' "$*" >&2; }

install_ko() {
    [ -x "$tools/ko" ] && [ "$(cat "$tools/.ko" 2>/dev/null)" = "$ko" ] && return 0
    say "installing ko $ko with $(go env GOVERSION)"
    if ! GOBIN=$tools GOFLAGS="$(go env GOFLAGS) -modcacherw" CGO_ENABLED=0 go install "github.com/google/ko@$ko"; then
        say "notice: ko $ko could not be installed; the benchmark leaves it out"
        return 0
    fi
    printf '%s\n' "$ko" >"$tools/.ko"
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
install_ko
install_docker
