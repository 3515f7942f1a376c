"""One process in a rootfs, rootless: a helper program that owns namespaces, mounts and trees.

`launcher.py` is that program. It is exec'ed afresh (Python's threads and `unshare(CLONE_NEWUSER)` don't mix)
and imports only what starts in a few milliseconds: of this room `line`, `calls`, `identity`, then `container`,
`rootfs`, `flatten` and `places`, or `trees`, `apply`, `owners`, `view` and `trash`. `spec` says what it is asked.
For builds it stays, as a `workshop` that forks for each job: `change` and `extract` put files into a rootfs,
`tarring` makes layers of what changed. `ids`, `start`, `attend`, `terminal`, `keeper`, `crew` and `frames` are the
caller's side; `select` is both's. `private`, `devices`, `binfmt` and `relay` keep from a container what it could
take hold of: what started it, the host's nodes, emulators that the kernel holds, files behind its streams.

May import: host, layer, dockerfile.
"""
