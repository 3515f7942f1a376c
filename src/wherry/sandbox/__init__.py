"""One process in a rootfs, rootless: a helper program that owns namespaces, mounts and trees.

`launcher.py` is that program. It is exec'ed afresh (Python's threads and `unshare(CLONE_NEWUSER)`
don't mix) and imports only `calls`, `places`, `view`, `identity`, `rootfs`, `flatten`, `container`
and `trees` of this room, which in turn import only what starts in a few milliseconds. `spec`,
`ids`, `start` and `terminal` are the caller's side.

May import: host.
"""
