"""Making it happen: the engine and what its steps do.

May import: oci, golang, elf, store, layer, image, source, plan, sandbox, host.
"""
