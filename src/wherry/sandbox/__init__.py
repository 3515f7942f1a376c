"""One process in a rootfs, rootless: a helper program that owns namespaces, mounts and trees.

The caller's side: `start` executes the launcher, `channel` and `spec` are the protocol, `client` runs the jobs of a
build, `snapshot_writer` unpacks and deletes layers, `attach` forwards signals and output, `terminal` and `relay` join
terminals and pipes; `ids`, `accounts` and `networks` decide who and where a process runs. `launcher/` is the other
process. For builds it stays, as a `forkserver` that forks for each job. `private` executes a sealed copy of the
interpreter, so that a container cannot reach the host's.

May import: host, layer, dockerfile.
"""
