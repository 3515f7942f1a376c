"""First layers of our own.

May import: oci, store, layer, debian.
"""
