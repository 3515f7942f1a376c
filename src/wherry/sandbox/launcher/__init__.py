"""The other process: enters namespaces, mounts, unpacks, copies, runs; started as `main.py` by `sandbox/start.py`.

It is executed afresh (threads and `unshare(CLONE_NEWUSER)` exclude each other) and imports only what loads in a few
milliseconds: this package, `channel`, `layer_stack`, `private` and `spec` of the room above, `layer.header`, and two
modules of `dockerfile` for ignore patterns and modes. No library, and nothing else of wherry.
"""
