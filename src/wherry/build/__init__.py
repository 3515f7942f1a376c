"""Making it happen: the engine and what its steps do.

May import: dockerfile, oci, golang, elf, store, layer, image, source, plan, sandbox, host.
"""
