#!/bin/sh
# Install the second ring, which takes long or is heavy: ko, by `go install`. (What serves ko its base image on
# loopback is crane, of the first ring.) BuildKit, cosign and kaniko join when an issue needs them.
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

PATH=$tools:/usr/sbin:/sbin:$PATH
mkdir -p "$tools"
install_ko
