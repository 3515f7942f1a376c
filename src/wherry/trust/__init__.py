"""What says whether an image may be relied on: modules, keys, signatures, statements, and the judges that read them.

May import: oci, golang, elf, foreign, source, host, store, layer, analysis.
"""
