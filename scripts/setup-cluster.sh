#!/bin/sh
# Prepare `make test-cluster`: what the recipe of a real Kubernetes takes from Debian (as root), and its programs, built
# once into .cache/cluster. Nothing is done where WHERRY_TEST_CLUSTER names a cluster that runs.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# Gatekeeper, which asks wherry's server in a test, from its own go.mod.
gatekeeper=v3.23.1
if [ ! -x .cache/cluster/gatekeeper-$gatekeeper ]; then
    mkdir -p .cache/cluster
    into=$PWD/.cache/cluster/gatekeeper-$gatekeeper
    go mod download github.com/open-policy-agent/gatekeeper/v3@$gatekeeper &&
        (cd "$(go env GOMODCACHE)/github.com/open-policy-agent/gatekeeper/v3@$gatekeeper" &&
            CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false -trimpath" go build -ldflags="-s -w" -o "$into" .) ||
        say "notice: Gatekeeper $gatekeeper could not be built; its test is skipped"
fi

[ -z "${WHERRY_TEST_CLUSTER:-}" ] || exit 0
recipe=${WHERRY_CLUSTER_RECIPE:-../shared/k8s}
if [ ! -x "$recipe/up.sh" ]; then
    say "notice: no recipe of a cluster at $recipe; tests on a real Kubernetes are skipped"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    say "notice: a cluster of the tests' own needs root; name one that runs: WHERRY_TEST_CLUSTER=KUBECONFIG"
    exit 0
fi
for program in containerd runc iptables /usr/lib/cni/bridge; do
    command -v "$program" >/dev/null || { "$recipe/deps.sh" || say "notice: $recipe/deps.sh failed"; break; }
done
"$recipe/build.sh" .cache/cluster || say "notice: the cluster's programs could not be built"
