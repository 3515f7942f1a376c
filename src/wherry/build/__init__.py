"""Making it happen: the engine and what its steps do.

May import: dockerfile, oci, golang, elf, store, snapshots, layer, image, source, plan, sandbox, host.
"""
