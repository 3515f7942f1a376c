#!/bin/sh
# Make .cache/wheel: wherry installed from its wheel, as a user has it. That is what the benchmarks measure: the
# checkout in .venv is found through one more hook of Python's imports.
set -eu
cd "$(dirname "$0")/.."

place=.cache/wheel
python=.venv/bin/python
wheel_with_extras() { printf '%s[explain]' .cache/dist/*.whl; } # `size` needs it
rm -rf "$place" .cache/dist
mkdir -p .cache/dist

if command -v uv >/dev/null 2>&1; then
    uv build --quiet --wheel --python "$python" --out-dir .cache/dist
    uv venv --quiet --python "$python" "$place"
    uv pip install --quiet --compile-bytecode --python "$place/bin/python" "$(wheel_with_extras)"
else
    "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir .cache/dist .
    "$python" -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check "$(wheel_with_extras)"
fi
