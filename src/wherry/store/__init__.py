"""Where blobs and trees rest on disk.

May import: oci.
"""
