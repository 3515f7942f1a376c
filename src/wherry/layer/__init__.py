"""Files to blobs and back.

May import: oci, store.
"""
