#!/bin/sh
# Compile the start of packed programs (src/wherry/lab/stubs/pack.c) for each architecture into a folder; the package
# has the results, and tests/peers/test_pack.py compares them with what Debian 12's compilers make.
set -eu
cd "$(dirname "$0")/.."
target=${1:-src/wherry/lab/stubs}
for pair in amd64:gcc arm64:aarch64-linux-gnu-gcc; do
    architecture=${pair%%:*} compiler=${pair##*:}
    "$compiler" -Os -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -no-pie -fno-asynchronous-unwind-tables -mcmodel=small \
        -fno-tree-loop-distribute-patterns -nostdlib -static -Wall -Wextra -Werror -Wl,-z,max-page-size=65536 -Wl,--build-id=none \
        -Wl,-z,noexecstack -Wl,-T,src/wherry/lab/stubs/pack.ld -s -o "$target/pack-$architecture" src/wherry/lab/stubs/pack.c
    # Only its first segment is kept; the payload is appended to that.
    truncate -s "$(($(readelf -lW "$target/pack-$architecture" | awk '$1 == "LOAD" { print $5; exit }')))" "$target/pack-$architecture"
    chmod 644 "$target/pack-$architecture"
done
